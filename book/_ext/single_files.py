"""The book as one file: what the builders of the single page (for PDF) and of the EPUB need."""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert

import vaerec

ONE_FILE = ("singlehtml", "epub")
CONTROLS = re.compile(r"(?:```\{raw\} html\n.*?\n```\s*)+", re.DOTALL)
SCOPED_STYLE = re.compile(r"<style scoped>.*?</style>", re.DOTALL)
INSTEAD = "*Here the web pages of the book have controls to move.*\n\n"


def name_the_epub(app, config):
    """Fill in what an EPUB must say about itself."""
    config.version = vaerec.__version__
    config.epub_title = config.html_title
    config.epub_basename = "vaerec"
    config.epub_description = "A book of executable chapters, with the package vaerec"
    config.epub_identifier = f"vaerec-{vaerec.__version__}"
    config.epub_tocscope = "includehidden"
    config.epub_show_urls = "no"


def adapt_to_builder(app):
    """Let the builders of one file work with the book's extensions; the EPUB gets MathML."""
    name = app.builder.name
    if name not in ONE_FILE:
        return
    # These buttons would fail, or lead away from a file that is read offline.
    options = app.config.html_theme_options
    options |= {f"use_{button}_button": False for button in ("repository", "issues", "edit_page")}
    options["launch_buttons"] = {}
    # sphinx-exercise registers its nodes under "singlehtml", which hides every "html" visitor.
    handlers = app.registry.translation_handlers
    handlers[name] = {**handlers.get("html", {}), **handlers.get(name, {})}
    if name == "epub":
        # Few readers of EPUB run MathJax; MathML is part of the format.
        app.config.html_math_renderer = "mathml"
        app.config.exclude_patterns += ["**.js", "**.json", "**mathjax**"]


def leave_out_controls(app, docname, source):
    """A page with controls keeps its text: scripts run neither on paper nor in a reader of EPUB."""
    if app.builder.name in ONE_FILE:
        source[0] = CONTROLS.sub(INSTEAD, source[0])


def show_downloads(app, docname, source):
    """Link to the PDF, the EPUB and the slides that lie in the site already: a link never leads nowhere."""
    if docname != "book/running":
        return
    site = Path(app.outdir)
    files = [*sorted(site.glob("downloads/vaerec.*")), *sorted(site.glob("slides/*.html"))]
    links = [f'<li><a href="../{path.relative_to(site).as_posix()}">{path.name}</a></li>' for path in files]
    shown = f"<p>In this copy of the site:</p>\n<ul>{''.join(links)}</ul>" if links else ""
    source[0] = source[0].replace("<!-- downloads -->", shown)


def leave_out_folded_code(app, doctree, docname):
    """The cells that install the package and record results serve a notebook that runs."""
    if app.builder.name in ONE_FILE:
        for cell in list(doctree.findall(nodes.container)):
            if "tag_hide-cell" in cell["classes"]:
                cell.parent.remove(cell)


def keep_well_formed(app, pagename, templatename, context, doctree):
    """EPUB is XML, and pandas writes an attribute without a value into its tables' styles."""
    if app.builder.name == "epub" and "body" in context:
        context["body"] = SCOPED_STYLE.sub("", context["body"])


def formula(latex: str, display: str) -> str:
    """Return a formula as MathML."""
    # Two words that the converter does not know, and the same said otherwise.
    for word, known in ((r"\arg", r"\operatorname{arg}"), ("{aligned}", "{split}")):
        latex = latex.replace(word, known)
    return convert(latex, display=display)


def visit_inline(translator, node):
    translator.body.append(formula(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_block(translator, node):
    translator.body.append(f'<div class="math">{formula(node.astext(), "block")}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Connect the functions above, the first before the theme looks at its options."""
    app.connect("config-inited", name_the_epub)
    app.connect("builder-inited", adapt_to_builder, priority=100)
    app.connect("source-read", leave_out_controls)
    app.connect("source-read", show_downloads)
    app.connect("doctree-resolved", leave_out_folded_code)
    app.connect("html-page-context", keep_well_formed)
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
