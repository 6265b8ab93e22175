"""From radar phase to a forecast of ground subsidence that can be trusted."""
