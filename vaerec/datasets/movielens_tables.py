"""The tables of MovieLens: ratings, movies and users in the three formats of its releases."""

from __future__ import annotations

import itertools
import re
import zipfile
from io import BytesIO

import numpy as np
import pandas as pd

from vaerec.datasets.logs.delimited import Delimited, Dialect
from vaerec.datasets.logs.frames import require_columns
from vaerec.datasets.logs.loading import read_columns, to_frame
from vaerec.datasets.logs.streams import Source

GENRES_100K = ("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime",
               "Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery",
               "Romance", "Sci-Fi", "Thriller", "War", "Western")

AGE_GROUPS = {1: "Under 18", 18: "18-24", 25: "25-34", 35: "35-44", 45: "45-49", 50: "50-55", 56: "56+"}
"""Lower end in years -> the label of ML-1M's README."""

OCCUPATIONS_1M = (
    "other", "academic/educator", "artist", "clerical/admin", "college/grad student", "customer service",
    "doctor/health care", "executive/managerial", "farmer", "homemaker", "K-12 student", "lawyer",
    "programmer", "retired", "sales/marketing", "scientist", "self-employed", "technician/engineer",
    "tradesman/craftsman", "unemployed", "writer")
"""ML-1M's codes, from 0."""

COLUMNS_CSV = {"user": "userId", "item": "movieId", "rating": "rating", "timestamp": "timestamp"}


def read_ratings(source: Source, separator: str, n_ratings: int, stars: tuple[float, float]) -> pd.DataFrame:
    """Columns user, item, rating and timestamp, rows in file order.

    Raises
    ------
    ValueError
        Not ``n_ratings`` rows, or a row that cannot be read or is outside ``stars``: names the first.
    """
    read = _read_csv if separator == "," else _read_integers
    frame, first_line = read(source, separator)
    if len(frame) != n_ratings:
        raise ValueError(
            f"{source} holds {len(frame):,} ratings, expected {n_ratings:,}: "
            "the file is truncated or not the published one; copy it again")
    outside = ~frame["rating"].between(*stars)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(f"{source}, line {row + first_line}: rating {frame['rating'].iloc[row]} is not "
                         f"{stars[0]} to {stars[1]}")
    return frame


def _read_csv(source: Source, separator: str) -> tuple[pd.DataFrame, int]:
    table = Delimited(source, Dialect(separator))
    require_columns(COLUMNS_CSV, table.names, source)
    return to_frame(*read_columns(table, COLUMNS_CSV), untyped=True), 2


def _read_integers(source: Source, separator: str) -> tuple[pd.DataFrame, int]:
    """Parse integers only; a row with a missing or odd field names its line."""
    # One-character separators take pandas' fast parser: read the bytes and shorten "::" first.
    text = _content(source).replace(separator.encode(), b"\t")
    columns = ["user", "item", "rating", "timestamp"]
    try:
        return pd.read_csv(BytesIO(text), sep="\t", names=columns, dtype=np.int64, engine="c"), 1
    except ValueError:
        pass  # name the line, below
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split(b"\t")
        if len(fields) != len(columns) or not all(re.fullmatch(rb"-?\d+", f) for f in fields):
            shown = line.decode("latin-1")[:60].replace("\t", "::")
            raise ValueError(f"{source}, line {number}: expected {'::'.join(columns)}, found {shown!r}")
    raise ValueError(f"{source} is empty")


def read_movies(source: Source) -> pd.DataFrame:
    """Columns item, title and genres (``"Comedy|Noir"``).

    Raises
    ------
    ValueError
        A row that cannot be read: names its line.
    """
    readers = {"u.item": _read_movies_100k, "movies.dat": _read_movies_1m, "movies.csv": _read_movies_csv}
    frame = readers[source.name](source)
    return frame.assign(title=frame["title"].map(turn_article))


def _read_movies_1m(source: Source) -> pd.DataFrame:
    rows = _rows(source, "::", 3, "MovieID::Title::Genres")
    return pd.DataFrame({"item": [int(row[0]) for row in rows], "title": [row[1] for row in rows],
                         "genres": [row[2] for row in rows]})


def _read_movies_100k(source: Source) -> pd.DataFrame:
    width = 5 + len(GENRES_100K)
    rows = _rows(source, "|", width, f"{width} fields divided by |")
    return pd.DataFrame({
        "item": [int(row[0]) for row in rows], "title": [row[1] for row in rows],
        "genres": ["|".join(itertools.compress(GENRES_100K, map(int, row[5:]))) for row in rows]})


def _read_movies_csv(source: Source) -> pd.DataFrame:
    frame = pd.read_csv(BytesIO(_content(source)), keep_default_na=False)
    if list(frame.columns) != ["movieId", "title", "genres"]:
        raise ValueError(f"{source}, line 1: expected movieId,title,genres, found {list(frame.columns)}")
    return frame.set_axis(["item", "title", "genres"], axis=1).replace({"genres": "(no genres listed)"}, "")


def read_users(source: Source) -> pd.DataFrame:
    """Columns user, gender, age (the label of a group) and occupation, users ascending.

    Raises
    ------
    ValueError
        A row that cannot be read: names its line.
    """
    separator, form = {"u.user": ("|", "user|age|gender|occupation|zip"),
                       "users.dat": ("::", "UserID::Gender::Age::Occupation::Zip-code")}[source.name]
    rows = []
    for number, row in enumerate(_rows(source, separator, 5, form), start=1):
        try:
            if separator == "|":
                lower = max((lower for lower in AGE_GROUPS if lower <= int(row[1])), default=1)
                rows.append((int(row[0]), row[2], AGE_GROUPS[lower], row[3]))
            else:
                rows.append((int(row[0]), row[1], AGE_GROUPS[int(row[2])], OCCUPATIONS_1M[int(row[3])]))
        except (ValueError, KeyError, IndexError) as error:
            raise ValueError(f"{source}, line {number}: expected {form}, "
                             f"found {separator.join(row)[:60]!r}") from error
    return pd.DataFrame(rows, columns=["user", "gender", "age", "occupation"]
                        ).sort_values("user", ignore_index=True)


def _rows(source: Source, separator: str, width: int, form: str) -> list[list[str]]:
    rows = [line.split(separator) for line in _content(source).decode("latin-1").splitlines()]
    bad = next((number for number, row in enumerate(rows, 1) if len(row) != width), None)
    if bad:
        found = separator.join(rows[bad - 1])[:60]
        raise ValueError(f"{source}, line {bad}: expected {form}, found {found!r}")
    return rows


def _content(source: Source) -> bytes:
    try:
        return source.read_bytes()
    except zipfile.BadZipFile as error:
        raise ValueError(f"{source} is damaged ({error}): get the archive again") from error


def turn_article(title: str) -> str:
    """"Matrix, The (1999)" -> "The Matrix (1999)"; foreign articles too."""
    return re.sub(r"^(.*), (The|A|An|Le|La|Les|Il|Das|Der|Die|El|Los|Las|L')( \(.*)$",
                  lambda m: f"{m[2]}{'' if m[2].endswith(chr(39)) else ' '}{m[1]}{m[3]}", title)
