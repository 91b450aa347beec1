"""Widgets: a marker in a page or notebook becomes a model that runs there.

``<!-- widget: NAME -->`` stands where the idea stands. Colab and Jupyter show nothing, since it is a comment.
The web pages get the widget of the folder book/widgets/NAME. A book in one file (PDF, EPUB) gets the still
picture on a page, and nothing in a notebook, where an executed figure stands beside the marker.

The scripts of a folder are short files for readers. Here they become one classic script for browsers:
modules, requests and file workers do not run from a disk.
"""

from __future__ import annotations

import base64
import functools
import html
import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.util import logging

WIDGETS = Path(__file__).resolve().parents[1] / "widgets"
SHARED = WIDGETS / "_shared"
MARKER = re.compile(r"<!-- widget: ([a-z0-9-]+) -->")
ONE_FILE = ("singlehtml", "epub")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Widget:
    """What widget.yaml says.

    Attributes
    ----------
    folder : Path
    title, caption, alt : str
        The caption is one sentence. The alternative text says what the still picture shows.
    pages : tuple of str
        Where it stands, the main place first, as in _toc.yml.
    scripts, worker, styles : tuple of str
        Files, relative to the folder, in the order in which they are joined. Those of ``worker`` run in a
        Blob worker.
    data : tuple of str
        JSON files; the widget gets each under the name of its file.
    tasks : tuple of str
        What a stranger can do with it.
    pose : tuple of str
        Selectors that are clicked before the still picture is taken.
    element : str
        Selector of what is on the picture, where it is no marker's widget.
    """

    folder: Path
    title: str
    caption: str
    alt: str
    pages: tuple[str, ...]
    tasks: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    worker: tuple[str, ...] = ()
    styles: tuple[str, ...] = ("style.css",)
    data: tuple[str, ...] = ()
    pose: tuple[str, ...] = ()
    element: str = ""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def heading(self) -> str:
        """The title as a sentence."""
        return self.title if self.title.endswith("?") else f"{self.title}."

    @property
    def still(self) -> Path:
        return self.folder / "still.png"


def read(name: str) -> Widget:
    """The widget of a folder."""
    path = WIDGETS / name / "widget.yaml"
    if not path.exists():
        known = ", ".join(widget.name for widget in everything())
        raise FileNotFoundError(f"no widget {name!r}: book/widgets has {known}")
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Widget(folder=path.parent, **{key: tuple(value) if isinstance(value, list) else value
                                         for key, value in said.items()})


def everything() -> list[Widget]:
    """All widgets, by name."""
    return [read(path.parent.name) for path in sorted(WIDGETS.glob("*/widget.yaml"))]


# -- one script, one style -----------------------------------------------------------------------

def joined(folder: Path, files: tuple[str, ...]) -> str:
    """The files' text, one after another."""
    return "\n".join((folder / file).read_text(encoding="utf-8") for file in files)


def enclosed(code: str) -> str:
    """Code whose names stay its own."""
    return f'(() => {{\n"use strict";\n{code}\n}})();\n'


def script_of(widget: Widget) -> str:
    """The widget as one classic script. Data is kept as text, so that damage is found and said."""
    data = {Path(file).stem: joined(widget.folder, (file,)).strip() for file in widget.data}
    kept = {"title": widget.title, "data": data}
    if widget.worker:
        kept["worker"] = enclosed(joined(widget.folder, widget.worker))
    text = json.dumps(kept, ensure_ascii=False)
    return f"vaerecWidgets.keep({json.dumps(widget.name)}, {text});\n" + enclosed(
        joined(widget.folder, widget.scripts))


def shared_script() -> str:
    """What all widgets use, with the one global name ``vaerecWidgets``."""
    files = tuple(sorted(path.name for path in SHARED.glob("*.js")))
    return enclosed(joined(SHARED, files))


def shared_style() -> str:
    return joined(SHARED, tuple(sorted(path.name for path in SHARED.glob("*.css"))))


@functools.cache
def assets() -> dict[str, bytes]:
    """File name in _static/widgets -> content."""
    made = {"shared.js": shared_script().encode(), "shared.css": shared_style().encode()}
    for widget in everything():
        if widget.scripts:
            made[f"{widget.name}.js"] = script_of(widget).encode()
            made[f"{widget.name}.css"] = joined(widget.folder, widget.styles).encode()
        if widget.still.exists():
            made[f"{widget.name}.png"] = widget.still.read_bytes()
    return made


def write_assets(app):
    """Lay scripts, styles and pictures beside the site's other files; a book in one file needs the last."""
    if app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_static" / "widgets"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in assets().items():
        if app.builder.name in ONE_FILE and not name.endswith(".png"):
            continue
        (folder / name).write_bytes(content)


# -- the marker's place --------------------------------------------------------------------------

def figure(widget: Widget, root: str, first: bool) -> str:
    """HTML of the live widget; ``root`` is the site's. The first one of a page brings what is shared."""
    def source(file: str) -> str:
        version = zlib.crc32(assets()[file])  # no browser shows an old file
        return f"{root}_static/widgets/{file}?v={version:08x}"

    shared_css = f'<link rel="stylesheet" href="{source("shared.css")}">\n' if first else ""
    shared_js = f'<script defer src="{source("shared.js")}"></script>\n' if first else ""
    name, escaped = widget.name, html.escape
    return f"""<figure class="widget full-width" id="widget-{name}" data-widget="{name}"
 data-still="{root}_static/widgets/{name}.png" data-alt="{escaped(widget.alt)}">
{shared_css}<link rel="stylesheet" href="{source(f"{name}.css")}">
<div class="widget-body"><noscript>{still(widget, f"{root}_static/widgets/{name}.png")}</noscript></div>
<figcaption><span><strong>{escaped(widget.heading)}</strong> {escaped(widget.caption)}</span></figcaption>
{shared_js}<script defer src="{source(f"{name}.js")}"></script>
</figure>"""


def still(widget: Widget, source: str) -> str:
    """The picture that stands for the widget where scripts do not run."""
    return f'<img class="widget-still" src="{source}" alt="{html.escape(widget.alt)}"/>'


def picture(widget: Widget, source: str) -> str:
    """HTML for a book in one file, well-formed for the EPUB."""
    title, caption = html.escape(widget.heading), html.escape(widget.caption)
    return (f'<div class="widget-picture"><p>{still(widget, source)}</p>'
            f"<p><strong>{title}</strong> {caption} The web pages of the book have it alive.</p></div>")


def place_widgets(app, doctree, docname):
    """Replace the markers of a page."""
    first = True
    for node in list(doctree.findall(nodes.raw)):
        found = MARKER.fullmatch(node.astext().strip())
        if not found:
            continue
        try:
            widget = read(found[1])
        except FileNotFoundError as error:
            log.warning("%s", error, location=node)
            continue
        text = shown(app, widget, page_of(node, docname), first)
        first = False
        node.replace_self(nodes.raw("", text, format="html") if text else [])


def page_of(node, docname: str) -> str:
    """The page that a node comes from: a book in one file is one tree."""
    while node := node.parent:
        if isinstance(node, addnodes.start_of_file):
            return node["docname"]
    return docname


def shown(app, widget: Widget, docname: str, first: bool) -> str:
    """What stands at the marker under this builder."""
    root = "../" * docname.count("/")
    name = app.builder.name
    if name not in ONE_FILE:
        return figure(widget, root, first) if app.builder.format == "html" else ""
    if docname.startswith("notebooks/") or not widget.still.exists():
        return ""
    if name == "singlehtml":  # moved to another folder before it is printed
        inside = base64.b64encode(widget.still.read_bytes()).decode()
        return picture(widget, f"data:image/png;base64,{inside}")
    return picture(widget, f"{root}_static/widgets/{widget.name}.png")


# -- the page "Play" -----------------------------------------------------------------------------

def show_all(app, docname, source):
    """Replace the mark on the page by a card for each widget."""
    if docname == "book/play":
        live = app.builder.name not in ONE_FILE
        cards = "\n\n".join(card(widget, live) for widget in everything())
        grid = f"::::{{grid}} 1 1 2 2\n:gutter: 3\n\n{cards}\n\n::::"
        source[0] = source[0].replace("<!-- widgets -->", grid)


def alone(widget: Widget) -> str:
    """Where it fills the window, from a page one folder below the site's root."""
    return f"../{widget.pages[0]}.html?present={widget.name}"


def card(widget: Widget, live: bool) -> str:
    """Picture, sentence and, in the web pages, the ways to it."""
    target = f"../{widget.pages[0]}.html" + (f"#widget-{widget.name}" if widget.scripts else "")
    links = [f'<a href="{target}">Open</a>']
    if widget.scripts:
        links.append(f'<a href="{alone(widget)}">Full screen</a>')
    foot = f"\n\n{' · '.join(links)}" if live else ""
    return (f":::{{grid-item-card}}\n:img-top: widgets/{widget.name}/still.png\n:img-alt: {widget.alt}\n\n"
            f"**{widget.title}**\n\n{widget.caption}{foot}\n:::")


def setup(app):
    """Connect the functions above."""
    app.connect("source-read", show_all)
    app.connect("builder-inited", write_assets)
    app.connect("doctree-resolved", place_widgets)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
