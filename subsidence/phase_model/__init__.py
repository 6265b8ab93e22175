"""The phase model: its search along arcs, its integration to points."""
