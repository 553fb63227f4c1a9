"""Settings of Sphinx, which `build.py` calls with its pages; formulas become MathML: nothing is fetched by a reader."""

import re

from docutils import nodes
from latex2mathml.converter import convert

import meddiff

project, author = "meddiff", "The meddiff authors"
version = release = meddiff.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
html_theme = "furo"
html_title = "meddiff"
html_show_sourcelink = html_show_sphinx = html_show_copyright = False
html_copy_source = False
suppress_warnings = ["misc.highlighting_failure", "myst.header", "toc.not_included", "ref.python"]


def _formula(translator, node: nodes.Node) -> None:
    translator.body.append(convert(node.astext(), display="block" if isinstance(node, nodes.math_block) else "inline"))
    raise nodes.SkipNode


def _plain(app, what, name, thing, options, lines: list[str]) -> None:
    """Keep ``[B, C, *S]`` from being the begin of something in italics."""
    lines[:] = [re.sub(r"(?<=[ \[(])\*(?=[A-Z]\b)", r"\\*", line) for line in lines]


def setup(app) -> None:
    """Let formulas be written by the browser itself."""
    app.connect("autodoc-process-docstring", _plain, priority=400)  # before napoleon
    for kind in (nodes.math, nodes.math_block):
        app.add_node(kind, override=True, html=(_formula, None))
