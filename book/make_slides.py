"""Slides of each chapter, one HTML file that needs no network: ``python book/make_slides.py``.

The slides follow from the notebook itself. A heading, a prediction, a figure, a misconception and an
exercise each start a slide, and so does what finds no room. Code is shown where it is short. Text that
is left out becomes the speaker's notes (key S); folded solutions and proofs are in neither. The cell
tags ``slide`` and ``skip-slide`` show a cell whole, or not at all.
"""

from __future__ import annotations

import argparse
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbconvert import SlidesExporter

BOOK = Path(__file__).resolve().parent
ROOT = BOOK.parent
sys.path[:0] = [str(ROOT / "notebooks"), str(BOOK / "_ext")]
import run  # noqa: E402 - scripts of this repository
import widgets  # noqa: E402

SHORT_CODE = 8  # lines; longer code is not shown
SHORT_OUTPUT = 12  # lines of printed text
BUDGET = 13  # lines of text on a slide
LINE = 68  # characters in a line of a slide
CODE_LINE = 0.6  # of a line of text
HIDDEN = {"hide-cell", "parameters", "injected-parameters", "skip-slide"}
OPENING = re.compile(r"\*\*(Predict|After this chapter|\d+\. )|> \*\*Misconception")
EXERCISE = re.compile(r"\*\*\d+\. ")
RELATIVE_LINK = re.compile(r"\[([^\]]*)\]\((?!https?:)[^)]*\)")
ANSWER = re.compile(r"^vr\.exercises\.", re.MULTILINE)


def blocks(text: str) -> list[tuple[str, str]]:
    """Kind and source of each top-level block of Markdown; what is folded is left out."""
    text = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    text = RELATIVE_LINK.sub(r"\1", text)  # slides are read where the other pages may not be
    text = widgets.MARKER.sub(live, text)
    lines = text.splitlines()
    parser = MarkdownIt().enable("table").use(dollarmath_plugin)
    return [(token.type.removesuffix("_open"), "\n".join(lines[slice(*token.map)]).strip())
            for token in parser.parse(text) if token.level == 0 and token.map]


def live(marker: re.Match) -> str:
    """A link to the widget in the page, which fills the window: the one link that a lecturer clicks."""
    widget = widgets.read(marker[1])
    return f"**Live:** [{widget.title}]({widgets.alone(widget)})"


def height(kind: str, source: str) -> int:
    """About how many lines a block takes on a slide."""
    text = re.sub(r"\]\([^)]*\)|[{}$]", "", source)
    if kind == "math_block":
        return 3 + 2 * text.count(r"\\")
    text = re.sub(r"\\[a-zA-Z]+", "x", text)  # a command is about one letter of a formula
    if kind == "paragraph":
        return 1 + len(text) // LINE
    return 2 + sum(1 + len(line) // LINE for line in text.splitlines())


class Deck:
    """Slides of one chapter, as the cells of a notebook with nbconvert's slide types."""

    def __init__(self):
        self.cells: list[nbformat.NotebookNode] = []
        self.heading = ""
        self.room = 0
        self.answered = False  # the prompt of an exercise is over: what follows is for the reader
        self.lead = ""  # the last paragraph, as long as it is only in the notes

    def add(self, cell: nbformat.NotebookNode, slide_type: str):
        hidden = cell.cell_type == "code" and not cell.source
        cell.metadata = nbformat.from_dict({"slideshow": {"slide_type": slide_type},
                                            "transient": {"remove_source": hidden}})
        self.cells.append(cell)

    def text(self, source: str, slide_type: str = "-"):
        self.add(nbformat.v4.new_markdown_cell(source), slide_type)

    def section(self, heading: str):
        """Start the slides of a section."""
        self.text(heading, "slide")
        self.room, self.lead = BUDGET - height("heading", heading), ""
        self.heading = heading.lstrip("# ")

    def start(self, kind: str, source: str):
        """Start another slide of the section, with the section's heading small above it."""
        self.text(f'<p class="section">{self.heading}</p>', "subslide")
        self.text(source)
        self.room, self.lead = BUDGET - 1 - height(kind, source), ""

    def start_output(self):
        """Start a slide for what code showed, under the sentence that leads to it."""
        self.start("paragraph", self.lead)
        self.room = 0  # what follows explains what was seen, and is the speaker's

    def markdown(self, source: str):
        """Lay blocks on slides; what finds no room becomes a note."""
        for kind, block in blocks(source):
            if kind == "heading":
                self.answered = False
                self.section(block)
            elif OPENING.match(block):
                self.answered = False
                self.start(kind, block)
            elif kind == "fence" and ANSWER.search(block):
                self.answered, self.room = True, 0
            elif self.answered:
                continue
            elif height(kind, block) <= self.room:
                self.text(block)
                self.room -= height(kind, block)
            elif kind != "paragraph":
                self.start(kind, f"{self.lead}\n\n{block}")
            else:
                self.text(block, "notes")
                self.room = 0
                self.lead = block if kind == "paragraph" and height(kind, block) < BUDGET / 2 else ""

    def code(self, cell: nbformat.NotebookNode):
        """Show a figure with its caption, or short code and what it printed."""
        figure = cell.metadata.get("mystnb", {}).get("figure")
        image = next((output.data["image/png"] for output in cell.outputs
                      if "image/png" in output.get("data", {})), None)
        if figure and image:
            alt = cell.metadata["mystnb"]["image"]["alt"].replace('"', "&quot;")
            self.lead = ""
            self.start_output()
            source = f"data:image/png;base64,{''.join(image.split())}"
            self.text(f'<img class="figure" alt="{alt}" src="{source}">')
            self.text(figure["caption"])
            return
        short = len(cell.source.splitlines()) <= SHORT_CODE
        cell = nbformat.from_dict(cell)
        cell.outputs = [output for output in cell.outputs if worth_showing(output)]
        if not short:
            cell.source = ""
        if short or cell.outputs:
            lines = sum(map(printed_lines, cell.outputs)) + CODE_LINE * (1 + len(cell.source.splitlines()))
            if lines > self.room:
                self.start_output()
            self.room = 0
            self.add(cell, "-")


def printed_lines(output: nbformat.NotebookNode) -> float:
    """About how many lines of text an output takes."""
    if output.output_type == "stream":
        return CODE_LINE * (1 + len(output.text.splitlines()))
    return 1 + "".join(output.data["text/html"]).count("<tr")


def worth_showing(output: nbformat.NotebookNode) -> bool:
    """Tell a table or a few printed lines from the rest."""
    if output.output_type == "stream":
        return len(output.text.splitlines()) <= SHORT_OUTPUT
    return "text/html" in output.get("data", {})


def slides(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return the chapter as a notebook of slides."""
    deck, begun = Deck(), False
    for cell in notebook.cells:
        tags = set(cell.metadata.get("tags", []))
        if "slide" in tags:
            deck.add(nbformat.from_dict(cell), "subslide")
        elif tags & HIDDEN:
            continue
        elif cell.cell_type == "markdown":
            deck.markdown(cell.source)
            begun = begun or any(kind == "heading" and block.startswith("## ")
                                 for kind, block in blocks(cell.source))
        # Code before the first section only prepares.
        elif cell.cell_type == "code" and not deck.answered and (begun or "mystnb" in cell.metadata):
            deck.code(cell)
    return nbformat.v4.new_notebook(cells=deck.cells, metadata=notebook.metadata)


def script(package: str, *path: str) -> str:
    """JavaScript that an installed package brings along, fit to stand inside an HTML page."""
    folder = Path(find_spec(package).submodule_search_locations[0])
    return folder.joinpath(*path).read_text(encoding="utf-8").replace("</script", "<\\/script")


def write(stem: str, folder: Path) -> Path:
    """Write the slides of a chapter and return the file."""
    reveal = ("sphinx_revealjs", "_static", "revealjs")
    exporter = SlidesExporter(template_file="slides.html.j2", extra_template_paths=[str(BOOK)])
    notebook = run.read(stem)
    page, _ = exporter.from_notebook_node(slides(notebook), resources={
        "title": notebook.cells[0].source.partition("\n")[0].lstrip("# "),
        "reveal_css": script(*reveal, "dist", "reveal.css"),
        "scripts": [script("sphinx-mathjax-offline", "static", "mathjax", "tex-svg.js"),
                    script(*reveal, "dist", "reveal.js"), script(*reveal, "plugin", "notes", "notes.js")],
    })
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{stem}.html"
    target.write_text(page, encoding="utf-8")
    return target


def main():
    """Write the slides of the chapters that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=list(run.chapters()),
                        default=list(run.chapters()), help="such as 06-mvae")
    parser.add_argument("--folder", type=Path, default=ROOT / "_build" / "html" / "slides")
    options = parser.parse_args()
    for stem in options.only:
        write(stem, options.folder)
    print(f"The slides are made: {options.folder.resolve()}")


if __name__ == "__main__":
    main()
