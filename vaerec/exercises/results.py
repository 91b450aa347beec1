"""From a student to a lecturer: a file of results, and a table of many of them.

The file is plain JSON that a student can edit, and the solutions are open. It shows who has worked
on what. It is no exam.
"""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import pandas as pd

from vaerec.exercises import answers, bank

MARK = "vaerec exercises 1"
LARGEST = 1_000_000  # bytes; a whole book's worth of answers is far smaller


def export(path: str | os.PathLike, *, name: str,
           progress_file: str | os.PathLike | None = None) -> Path:
    """Write the results to a file that a lecturer collects.

    It holds tries, times, answers to number, choice and text exercises, which hints and solutions were
    seen, and the version of each exercise, a hash of its text.

    Parameters
    ----------
    path : path
        Such as ``"results.json"``. An older export there is replaced; any other file is not.
    name : str
        Who hands it in.
    progress_file : path, optional
        See `progress`.

    Raises
    ------
    ValueError
        No name, nothing tried yet, or the path holds something else than an export.
    """
    from vaerec import __version__

    if not isinstance(name, str) or not name.strip():
        raise ValueError(f'name={name!r} is empty; who hands this in? export("results.json", name="Ada")')
    target, source = Path(path).expanduser(), answers.progress_path(progress_file)
    entries = answers.read(source)
    if not entries:
        raise ValueError(f"nothing was tried yet, at least not in {source}; is it the right progress file?")
    if target.exists():
        try:
            _read(target)
        except (ValueError, OSError) as error:
            raise ValueError(f"{target} exists and is no export of results; choose another path") from error
    content = {"format": MARK, "name": name.strip(), "vaerec": __version__, "exported": answers.now(),
               "exercises": entries}
    answers.write_whole(target, json.dumps(content, indent=1, ensure_ascii=False))
    return target


def collect(folder: str | os.PathLike) -> pd.DataFrame:
    """Read every ``*.json`` in a folder into a table, one row a student.

    Nothing in the files is run. Damaged files, and all but the newest export of a student, are left
    out with a warning that names them.

    Parameters
    ----------
    folder : path

    Returns
    -------
    DataFrame
        Indexed by name: file, exported, vaerec, solved, tried, other_version (exercises whose text is
        not the one installed here), and one column an exercise with its state.

    Raises
    ------
    FileNotFoundError
        There is no such folder, or no ``*.json`` in it.
    """
    paths = sorted(Path(folder).expanduser().glob("*.json"))
    if not paths:
        raise FileNotFoundError(f"no *.json in {folder}; put the students' results there")
    handed_in, left_out = {}, []
    for path in paths:
        try:
            content = _read(path)
        except (ValueError, OSError) as error:
            left_out.append(str(error))
            continue
        former = handed_in.get(content["name"])
        if former is None or former[1]["exported"] < content["exported"]:
            handed_in[content["name"]], older = (path, content), former and former[0]
        else:
            older = path
        if older:
            left_out.append(f"{older} is an older export of {content['name']!r}")
    if left_out:
        warnings.warn("left out:\n" + "\n".join(left_out), stacklevel=2)
    rows = {name: _row(*found) for name, found in handed_in.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")


def _read(path: Path) -> dict:
    if path.stat().st_size > LARGEST:
        raise answers.Damaged(f"{path} is larger than {LARGEST:,} bytes, so it is not an export of results")
    content = answers.parsed(path)
    if not isinstance(content, dict) or content.get("format") != MARK or not all(
            isinstance(content.get(key), str) for key in ("name", "vaerec", "exported")):
        raise answers.Damaged(f"{path} is not an export of results")
    answers.checked(content.get("exercises"), path)
    return content


def _row(path: Path, content: dict) -> dict:
    book, entries = bank.everything(), content["exercises"]
    return {
        "file": path.name, "exported": content["exported"], "vaerec": content["vaerec"],
        "solved": sum("solved" in entry for entry in entries.values()),
        "tried": sum(bool(entry.get("tries")) or "revealed" in entry for entry in entries.values()),
        "other_version": sum(name not in book or entry.get("version") != book[name].version
                             for name, entry in entries.items()),
    } | {name: answers.state(entries.get(name, {})) for name in book}
