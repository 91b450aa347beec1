"""Begin a chapter: ``python notebooks/new_chapter.py 12-cold-start "Cold start"``.

The folder ``template`` holds a small chapter that runs, with comments on what belongs where, and its entries
in the files that list chapters. They are filled in and put in their places; what cannot be written before
there is a text is printed as a list.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
NAME = re.compile(r"(\d\d|[A-Z]\d)(-[a-z0-9]+)+")
# What the template leaves to the author; a test looks for it in chapters.
MARK = "TO WRITE"
LEFT = """\
What is left, in this order:
 1. Write: every "{mark}" in notebooks/{stem}.ipynb, vaerec/exercises/{stem}.yaml,
    book/teaching/notes.yaml. A test finds what is left. make notebooks ONLY={stem}
    runs the draft on synthetic data.
 2. make notebooks PROFILE=full ONLY={stem}. Before this the book cannot be built: it shows the minutes.
    State what it took, and what quick took, in the last line of the first cell.
 3. What must hold in every run: RELATIONS in benchmarks/calibrate.py. Then the ranges, from several seeds:
    python benchmarks/calibrate.py quick {stem}, and the same with full.
 4. A row in the table of README.md, a line in the list of book/intro.md, a line in CHANGELOG.md.
 5. The chapter before ends with a question: does yours answer it?
 6. make test, make book, make colab-check ONLY={stem}."""


def refuse(stem: str, title: str, root: Path) -> None:
    """Say what is wrong with a name or a title.

    Raises
    ------
    ValueError
        The name has another form, it or its number is taken, or the title is not one line.
    """
    if not NAME.fullmatch(stem):
        raise ValueError(f"NAME={stem}: expected two digits or a letter and a digit, then words in small "
                         "letters, such as 12-cold-start or A3-cold-start")
    number = stem.partition("-")[0]
    for taken in chapters(root):
        if taken.partition("-")[0] == number:
            raise ValueError(f"NAME={stem}: chapter {number} is there already, notebooks/{taken}.ipynb")
    if not title.strip() or "\n" in title:
        raise ValueError(f"TITLE={title}: expected the chapter's heading on one line, such as 'Cold start'")


def chapters(root: Path) -> list[str]:
    """The chapters that are there, in the order of the book."""
    return sorted(path.stem for path in (root / "notebooks").glob("*.ipynb"))


def filled(text: str, stem: str, title: str) -> str:
    """A piece of the template for this chapter."""
    number = stem.partition("-")[0]
    heading = f"{number.lstrip('0') or '0'} {title.strip()}"
    # The title comes last: it may hold the marks as parts of words.
    return text.replace("STEM", stem).replace("NN", number).replace("NUMBER TITLE", heading)


def notebook(stem: str, title: str, root: Path) -> nbformat.NotebookNode:
    """The template's notebook, with the cell that installs the package as the other chapters have it."""
    made = nbformat.read(root / "notebooks" / "template" / "chapter.ipynb", as_version=4)
    other = nbformat.read(root / "notebooks" / f"{chapters(root)[0]}.ipynb", as_version=4)
    for cell in made.cells:
        cell.source, cell.id = (filled(text, stem, title) for text in (cell.source, cell.id))
        if figure := cell.metadata.get("mystnb", {}).get("figure"):
            figure["name"] = filled(figure["name"], stem, title)
    first, its = (next(cell for cell in one.cells if cell.cell_type == "code") for one in (made, other))
    first.source = re.sub(r"vr\.greet\(.*\)$", "vr.greet(quick_minutes=1, full_minutes=1)", its.source)
    return made


def after_last(start: str, text: str, line: str) -> str:
    """The text with one more line, after the last one that starts so."""
    place = text.index("\n", text.rindex(f"\n{start}") + 1) + 1
    return text[:place] + line + text[place:]


def before_next(key: str, text: str, block: str, gap: str = "\n") -> str:
    """The text with one more block, before the first block at the same depth whose name comes later."""
    depth = re.match(" *", block).group()
    later = [found.start() for found in re.finditer(rf"^{depth}([\w-]+):\n", text, re.MULTILINE)
             if NAME.fullmatch(found[1]) and found[1] > key]
    place = later[0] if later else len(text)
    return text[:place] + ("" if later else gap) + block + (gap if later else "") + text[place:]


def new_texts(stem: str, title: str, root: Path) -> dict[Path, str]:
    """What each file holds once the chapter has begun."""
    template = root / "notebooks" / "template"
    profiles, notes, exercises = (filled((template / f"{name}.yaml").read_text(encoding="utf-8"), stem, title)
                                  for name in ("profiles", "notes", "exercises"))
    listed = [root / name for name in ("_toc.yml", "notebooks/profiles.yaml", "book/teaching/notes.yaml")]
    toc, all_profiles, all_notes = (path.read_text(encoding="utf-8") for path in listed)
    before = max(one for one in chapters(root) if one < stem)
    toc = after_last(f"      - file: notebooks/{before}", toc, f"      - file: notebooks/{stem}\n")
    unit = f'  - {{stem: {stem}, about: "{MARK}: what a lesson is about"}}\n'
    all_notes = after_last(f"  - {{stem: {before},", all_notes, unit)
    texts = [toc, before_next(stem, all_profiles, profiles), before_next(stem, all_notes, notes)]
    return dict(zip(listed, texts, strict=True)) | {
        root / "vaerec" / "exercises" / f"{stem}.yaml": exercises,
        root / "notebooks" / f"{stem}.ipynb": nbformat.writes(notebook(stem, title, root)) + "\n",
    }


def begin(stem: str, title: str, root: Path = ROOT) -> None:
    """Write the chapter's files and entries, or nothing if something is wrong."""
    refuse(stem, title, root)
    texts = new_texts(stem, title, root)
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        begin(*sys.argv[1:])
    except ValueError as error:
        raise SystemExit(str(error)) from error
    print(f"notebooks/{sys.argv[1]}.ipynb is begun.\n{LEFT.format(mark=MARK, stem=sys.argv[1])}")
