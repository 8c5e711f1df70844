"""How Sphinx builds the documentation; nothing is fetched from the network."""

from __future__ import annotations

import runpy
from importlib.metadata import version as installed
from pathlib import Path

HERE = Path(__file__).parent

# The reference is written from the code before Sphinx looks for pages.
runpy.run_path(str(HERE / "generate.py"))["write"](HERE / "reference" / "generated")

project = "perfkit"
author = "the perfkit authors"
release = installed("perfkit")
version = release
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"perfkit {release}"
html_copy_source = False
html_show_sphinx = False
