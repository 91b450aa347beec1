"""Build the book, where every warning is an error.

    python book/build.py html            into _build/html
    python book/build.py epub FOLDER     into FOLDER/_build/epub
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILDERS = {"html": ["html"], "singlehtml": ["singlehtml"], "epub": ["custom", "--custom-builder", "epub"]}


def build(builder: str, folder: Path = ROOT) -> None:
    """Build into ``folder/_build``; ends the process with a status other than 0 after a warning."""
    from jupyter_book.cli.main import main

    shutil.rmtree(folder / "_build" / ".doctrees", ignore_errors=True)
    main(["build", str(ROOT), "--path-output", str(folder), "--builder", *BUILDERS[builder],
          "--all", "--warningiserror", "--nitpick", "--keep-going", "--quiet"])


if __name__ == "__main__":
    build(sys.argv[1], *map(Path, sys.argv[2:]))
