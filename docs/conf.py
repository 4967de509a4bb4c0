"""Sphinx builds these pages: ``sphinx-build -W docs docs/_build``."""

from micacl_mm import __version__

project = 'micacl_mm'
author = 'the micacl_mm authors'
version = release = __version__
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
exclude_patterns = ['_build']

html_theme = 'furo'
html_title = f'micacl_mm {version}'
html_show_copyright = False
highlight_language = 'none'  # most blocks are shell commands
myst_heading_anchors = 3

autodoc_typehints = 'none'  # the docstrings have them
autodoc_inherit_docstrings = False
napoleon_use_rtype = False
