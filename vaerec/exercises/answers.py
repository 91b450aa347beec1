"""What a reader has tried, on this computer alone: one JSON file, read and written here only."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import pandas as pd
from filelock import FileLock
from filelock import Timeout as LockTimeout
from platformdirs import user_data_path

from vaerec.exercises import bank

FORMAT = 1
PATIENCE = 10.0  # seconds to wait for another notebook that is writing

# What the file keeps of an exercise; moments are texts such as "2026-11-24T18:30:00+00:00".
MOMENTS = ("first", "last", "solved", "hint", "solution", "guessed", "revealed", "written")
ANSWER = (str, float, int)
KEPT = {"version": str, "tries": int, "answer": ANSWER, "guess": ANSWER} | dict.fromkeys(MOMENTS, str)


class Damaged(ValueError):
    """A file is not what `keep` or `export` wrote."""


def progress_path(progress_file: str | os.PathLike | None = None) -> Path:
    """Where progress is kept: as given, else ``$VAEREC_PROGRESS``, else in the user's data folder."""
    chosen = progress_file or os.environ.get("VAEREC_PROGRESS")
    return Path(chosen).expanduser() if chosen else user_data_path("vaerec") / "exercises.json"


def progress(*, progress_file: str | os.PathLike | None = None,
             page: str | os.PathLike | None = None) -> pd.DataFrame:
    """What is solved, tried and untouched.

    Parameters
    ----------
    progress_file : path, optional
        Where progress is kept. By default the file that the environment variable ``VAEREC_PROGRESS``
        names, or else ``exercises.json`` in the user's data folder.
    page : path, optional
        Write the table as a small web page too, to open in a browser.

    Returns
    -------
    DataFrame
        One row an exercise, indexed by chapter and exercise: kind, state, tries, hint, solution (seen
        or not), guess.

    Raises
    ------
    ValueError
        The file was written by a newer version of this package. It stays as it is.
    """
    entries = kept_entries(progress_file)
    rows = []
    for name, exercise in bank.everything().items():
        entry = entries.get(name, {})
        rows.append({"chapter": exercise.chapter, "exercise": name, "kind": exercise.kind,
                     "state": state(entry), "tries": entry.get("tries", 0), "hint": "hint" in entry,
                     "solution": "solution" in entry, "guess": str(entry.get("guess", ""))})
    table = pd.DataFrame(rows).set_index(["chapter", "exercise"])
    if page is not None:
        write_whole(Path(page), _page(table))
    return table


def kept_entries(progress_file: str | os.PathLike | None = None) -> dict[str, dict]:
    """What is kept, by exercise; a damaged file is moved aside with a warning."""
    path = progress_path(progress_file)
    try:
        return read(path)  # a file is whole at every moment, so reading needs no lock
    except Damaged:
        with _lock(path):
            return _read_or_move_aside(path)


def state(entry: dict) -> str:
    """What has become of an exercise, in a word or three."""
    if "solved" in entry:
        return "solved, solution seen first" if entry.get("solution", "~") < entry["solved"] else "solved"
    if "written" in entry:
        return "written"
    if "revealed" in entry:
        return "revealed"
    if entry.get("tries"):
        return f"tried {entry['tries']} times" if entry["tries"] > 1 else "tried once"
    return "guessed" if "guess" in entry else "untouched"


def now() -> str:
    """Return the moment as UTC, which orders as text."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def keep(exercise: bank.Exercise, progress_file: str | os.PathLike | None,
         update: Callable[[dict], None]) -> dict:
    """Let ``update`` change the kept entry of an exercise, and return the entry as it is then.

    A file that cannot be read or written costs the reader a warning, not the answer.
    """
    path, entry = progress_path(progress_file), {}
    try:
        with _lock(path):
            kept = _read_or_move_aside(path)
            entry = kept.setdefault(exercise.name, {"first": now()})
            update(entry)
            entry |= {"last": now(), "version": exercise.version}
            write_whole(path, json.dumps({"format": FORMAT, "exercises": kept}, indent=1, ensure_ascii=False))
    except (OSError, LockTimeout, _Newer) as error:
        warnings.warn(f"progress was not kept in {path}: {error}. Set VAEREC_PROGRESS to a file that can "
                      "be written.", stacklevel=3)
    return entry


def read(path: Path) -> dict[str, dict]:
    """Entries of a progress file by exercise; none if there is no file.

    Raises
    ------
    Damaged
        It is not such a file.
    ValueError
        A newer version of this package wrote it.
    """
    if not path.exists():
        return {}
    content = parsed(path)
    if isinstance(content, dict) and isinstance(content.get("format"), int) and content["format"] > FORMAT:
        raise _Newer(f"{path} was written by a newer vaerec; update the package, or name another file")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise Damaged(f"{path} is not a progress file of vaerec")
    return checked(content.get("exercises"), path)


def parsed(path: Path):
    """Content of a JSON file; raises `Damaged` if it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} is not JSON, or cut off: {error}") from error


def checked(entries, path: Path) -> dict[str, dict]:
    """The entries, if each has the form that this module writes; raises `Damaged` otherwise."""
    if not isinstance(entries, dict):
        raise Damaged(f"{path} holds no exercises")
    for name, entry in entries.items():
        if not isinstance(entry, dict) or not all(
                key in KEPT and isinstance(value, KEPT[key]) and not isinstance(value, bool)
                for key, value in entry.items()):
            raise Damaged(f"{path}: the entry of {name!r} has not the form that vaerec writes")
    return entries


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is whole at every moment: a draft beside it, put in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False,
                                     encoding="utf-8") as draft:
        draft.write(text)
    try:
        os.replace(draft.name, path)
    except OSError:
        os.unlink(draft.name)
        raise


class _Newer(ValueError):
    """The file is in order, but not for this version."""


def _lock(path: Path) -> FileLock:
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{path}.lock", timeout=PATIENCE)


def _read_or_move_aside(path: Path) -> dict[str, dict]:
    try:
        return read(path)
    except Damaged as damage:
        moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        aside = path.with_name(f"{path.stem}.damaged-{moment}{path.suffix}")
        os.replace(path, aside)
        warnings.warn(f"{damage}. It was moved to {aside}, and progress starts anew. To have the old one "
                      "back, mend that file and move it back.", stacklevel=4)
        return {}


def _page(table: pd.DataFrame) -> str:
    """The table as one web page without scripts."""
    sections = []
    for chapter, rows in table.groupby(level="chapter", sort=False):
        done = rows["state"].str.startswith(("solved", "written")).sum()
        lines = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(row.kind)}</td><td>{escape(row.state)}</td>"
            f"<td>{'hint ' * row.hint}{'solution' * row.solution}</td><td>{escape(row.guess)}</td></tr>"
            for (_, name), row in rows.iterrows())
        sections.append(
            f'<h2>Chapter {escape(chapter)}</h2><p><meter value="{done}" max="{len(rows)}"></meter> '
            f"{done} of {len(rows)}</p><table><tr><th>exercise</th><th>kind</th><th>state</th>"
            f"<th>seen</th><th>guess</th></tr>{lines}</table>")
    style = (":root{color-scheme:light dark}"
             "body{font:16px/1.5 sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}"
             "table{border-collapse:collapse;display:block;overflow-x:auto}"
             "td,th{text-align:left;padding:.2rem .8rem;border-bottom:1px solid #8884}")
    return ('<!doctype html><html lang="en"><meta charset="utf-8"><title>Exercises: progress</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<style>{style}</style><h1>Exercises: progress</h1>{''.join(sections)}</html>")
