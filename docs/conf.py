"""Sphinx configuration. The build needs no network: ``sphinx-build -W -b html docs out``."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

# The cells of the pages draw without a screen and leave the reader's BLAS alone.
os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")

project = "subsidence"
author = "The subsidence developers"
copyright = "2026, The subsidence developers"
release = metadata.version("subsidence")
version = release

extensions = [
    "myst_nb",
    "schema_tables",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "_ext", "images", "out", "scripts", "jupyter_execute", "**.ipynb_checkpoints"]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb"}
suppress_warnings = ["config.cache"]

# Pages that hold cells run at every build, in a folder that is thrown away; a cell that fails, fails the build.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
# Types stand beside each parameter's description and not in the signature, without their module.
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = False
napoleon_preprocess_types = True

html_theme = "furo"
html_title = f"subsidence {release}"
html_copy_source = False
html_show_sourcelink = False
