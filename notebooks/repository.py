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
BEFORE = {PYPROJECT: '\nrepository = "', ".ipynb": r'REPOSITORY, VERSION, PACKAGE = \"'}


def address(root: Path = ROOT) -> str:
    """The address in ``pyproject.toml``; "" while there is none."""
    return tomllib.loads((root / PYPROJECT).read_text(encoding="utf-8"))["tool"]["vaerec"]["repository"]


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
    before = BEFORE[PYPROJECT if path.name == PYPROJECT else path.suffix]
    text, places = re.subn(re.escape(before) + r'[^"\\]*', lambda _: before + url, text)
    if places != 1:
        raise ValueError(f"{path} names the repository {places} times instead of once")
    return text


def places(root: Path = ROOT) -> list[Path]:
    """The files that hold the address."""
    return [root / PYPROJECT, root / CITATION, *sorted((root / "notebooks").glob("*.ipynb"))]


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
    texts = {path: rewritten(path, url) for path in places(root)}
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        write(sys.argv[1])
    except ValueError as error:
        raise SystemExit(str(error)) from error
    print(f"{len(places())} files name {sys.argv[1] or 'no repository'}")
