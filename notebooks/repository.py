"""Write the repository's address wherever it stands: ``python notebooks/repository.py URL``.

``pyproject.toml`` is the one place that counts; the notebooks' first cells and ``CITATION.cff`` repeat it,
because a notebook that is opened alone has nothing else.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = re.compile(r"https://[\w.-]+/[\w.-]+/[\w.-]+(?<!\.git)(?<!/)")
PYPROJECT, CITATION = "pyproject.toml", "CITATION.cff"
# What comes before the address in each file; the notebooks are JSON, so their quotes are escaped.
BEFORE = {PYPROJECT: r'\nrepository = "', ".ipynb": r'REPOSITORY, VERSION, PACKAGE = \\"'}


def address(root: Path = ROOT) -> str:
    """The address in ``pyproject.toml``; "" while there is none."""
    return tomllib.loads((root / PYPROJECT).read_text(encoding="utf-8"))["tool"]["vaerec"]["repository"]


def substituted(path: Path, text: str, before: str, value: str, what: str) -> str:
    """The text of a file with another value at its one place, up to a quote or the line's end.

    Raises
    ------
    ValueError
        The file does not name it exactly once.
    """
    text, places = re.subn(rf'({before})[^"\\\n]*', lambda found: found[1] + value, text)
    if places != 1:
        raise ValueError(f"{path} names the {what} {places} times instead of once")
    return text


def rewritten(path: Path, url: str) -> str:
    """The text of a file with another address.

    Raises
    ------
    ValueError
        The file does not name the address exactly once.
    """
    text = path.read_text(encoding="utf-8")
    if path.name == CITATION:
        text = re.sub(r"^repository-code: .*\n", "", text, flags=re.MULTILINE)
        return text + f'repository-code: "{url}"\n' if url else text
    return substituted(path, text, BEFORE[PYPROJECT if path.name == PYPROJECT else path.suffix], url,
                       "repository")


def notebooks(root: Path) -> list[Path]:
    """The chapters, whose first cells hold the address and the version."""
    return sorted((root / "notebooks").glob("*.ipynb"))


def places(root: Path = ROOT) -> list[Path]:
    """The files that hold the address."""
    return [root / PYPROJECT, root / CITATION, *notebooks(root)]


def replace_all(texts: dict[Path, str]) -> None:
    """Give each file its new text, or none: all are on the disk before the first takes its place."""
    drafts = {}
    try:
        for path, text in texts.items():
            draft = path.with_name(path.name + ".new")
            with draft.open("x", encoding="utf-8") as file:
                drafts[path] = draft
                file.write(text)
    except OSError:
        for draft in drafts.values():
            draft.unlink()
        raise
    for path, draft in drafts.items():
        draft.replace(path)


def write(url: str, root: Path = ROOT) -> None:
    """Write the address everywhere, or nowhere if something is wrong.

    Raises
    ------
    ValueError
        Not an address such as https://github.com/owner/name.
    """
    if url and not ADDRESS.fullmatch(url):
        raise ValueError(f"URL={url}: expected an address such as https://github.com/owner/name, without "
                         ".git or a slash at its end, or nothing")
    replace_all({path: rewritten(path, url) for path in places(root)})


if __name__ == "__main__":
    try:
        write(sys.argv[1])
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    print(f"{len(places())} files name {sys.argv[1] or 'no repository'}")
