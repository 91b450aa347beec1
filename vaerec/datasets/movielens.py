"""MovieLens from files on disk: ML-100K and ML-1M (Harper & Konstan 2015)."""

from __future__ import annotations

import itertools
import os
import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from platformdirs import user_cache_path

from vaerec.interactions import Interactions

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


@dataclass(frozen=True)
class Layout:
    """Where a MovieLens release keeps its tables, and how many ratings it has."""

    ratings: str
    movies: str
    separator: str
    n_ratings: int
    users: str | None = None


LAYOUTS = {
    "ml-100k": Layout("u.data", "u.item", "\t", 100_000, users="u.user"),
    "ml-1m": Layout("ratings.dat", "movies.dat", "::", 1_000_209, users="users.dat"),
}


def load_movielens(name: str) -> Interactions:
    """Read a MovieLens release that lies on this computer.

    Looked for in ``$VAEREC_DATA/<name>`` and in the user's cache, ``<cache>/vaerec/<name>``.

    Raises
    ------
    FileNotFoundError
        The files are in neither place; says where to put them.
    ValueError
        A file is truncated or a row cannot be read.
    """
    layout = LAYOUTS[name]
    folder = _find(name, layout)
    frame = _read_ratings(folder / layout.ratings, layout)
    read_movies = _read_movies_100k if name == "ml-100k" else _read_movies_1m
    # A folder on disk proves nothing about its origin, so this is never the official copy.
    return Interactions.from_frame(frame, items=read_movies(folder / layout.movies), official=False)


def load_users(name: str) -> pd.DataFrame:
    """What the users of ML-100K or ML-1M said about themselves; nobody checked it.

    Returns
    -------
    DataFrame
        One row a user, ascending: ``user`` (the raw id of `vaerec.load`), ``gender`` ("F" or "M"),
        ``age`` (one of the values of `AGE_GROUPS`; ML-100K's years are put into these groups too) and
        ``occupation`` (in the words of the release).

    Raises
    ------
    FileNotFoundError
        The release is not on this computer, or its file of users is not beside the ratings.
    ValueError
        A release that says nothing about its users, or a row that cannot be read.
    """
    layout = LAYOUTS.get(name)
    if layout is None or layout.users is None:
        known = [known for known, one in LAYOUTS.items() if one.users]
        raise ValueError(f"{name!r} says nothing about its users: expected one of {', '.join(known)}")
    path = _find(name, layout) / layout.users
    if not path.is_file():
        raise FileNotFoundError(f"no {path}: copy {layout.users} of {name}.zip there")
    read = _read_users_100k if name == "ml-100k" else _read_users_1m
    return pd.DataFrame(read(path), columns=["user", "gender", "age", "occupation"]
                        ).sort_values("user", ignore_index=True)


def _find(name: str, layout: Layout) -> Path:
    places = [user_cache_path("vaerec") / name]
    if os.environ.get("VAEREC_DATA"):
        places.insert(0, Path(os.environ["VAEREC_DATA"]) / name)
    for place in places:
        if (place / layout.ratings).is_file() and (place / layout.movies).is_file():
            return place
    looked = "\n".join(f"  {place}" for place in places)
    raise FileNotFoundError(
        f"{name} is not on this computer. Looked for {layout.ratings} and {layout.movies} in\n"
        f"{looked}\nDownload {name}.zip from https://grouplens.org/datasets/movielens/ and unpack "
        f"it into one of these folders, or set VAEREC_DATA to the folder that holds {name}/. "
        'vr.load("synthetic") needs no download.'
    )


def _read_ratings(path: Path, layout: Layout) -> pd.DataFrame:
    """Parse integers only; a row with a missing or odd field names its line."""
    # One-character separators take pandas' fast parser: read the bytes and shorten "::" first.
    text = path.read_bytes().replace(layout.separator.encode(), b"\t")
    columns = ["user", "item", "rating", "timestamp"]
    frame = _parse(text, columns, path)
    if len(frame) != layout.n_ratings:
        raise ValueError(
            f"{path} holds {len(frame):,} ratings, expected {layout.n_ratings:,}: "
            "the file is truncated or not the published one; copy it again"
        )
    outside = ~frame["rating"].between(1, 5)
    if outside.any():
        line = int(np.argmax(outside)) + 1
        raise ValueError(f"{path}, line {line}: rating {frame['rating'].iloc[line - 1]} is not 1 to 5")
    return frame


def _parse(text: bytes, columns: list[str], path: Path) -> pd.DataFrame:

    try:
        return pd.read_csv(BytesIO(text), sep="\t", names=columns, dtype=np.int64, engine="c")
    except ValueError:
        pass  # name the line, below
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split(b"\t")
        if len(fields) != len(columns) or not all(re.fullmatch(rb"-?\d+", f) for f in fields):
            shown = line.decode("latin-1")[:60].replace("\t", "::")
            raise ValueError(f"{path}, line {number}: expected {'::'.join(columns)}, found {shown!r}")
    raise ValueError(f"{path} is empty")


def _read_movies_1m(path: Path) -> pd.DataFrame:
    rows = [line.split("::") for line in path.read_text("latin-1").splitlines()]
    bad = next((n for n, row in enumerate(rows, 1) if len(row) != 3), None)
    if bad:
        raise ValueError(f"{path}, line {bad}: expected MovieID::Title::Genres")
    return pd.DataFrame({
        "item": [int(row[0]) for row in rows],
        "title": [_turn_article(row[1]) for row in rows],
        "genres": [row[2] for row in rows],
    })


def _read_movies_100k(path: Path) -> pd.DataFrame:
    rows = [line.split("|") for line in path.read_text("latin-1").splitlines()]
    width = 5 + len(GENRES_100K)
    bad = next((n for n, row in enumerate(rows, 1) if len(row) != width), None)
    if bad:
        raise ValueError(f"{path}, line {bad}: expected {width} fields divided by |")
    return pd.DataFrame({
        "item": [int(row[0]) for row in rows],
        "title": [_turn_article(row[1]) for row in rows],
        "genres": ["|".join(itertools.compress(GENRES_100K, map(int, row[5:]))) for row in rows],
    })


def _read_users_1m(path: Path) -> list[tuple]:
    rows = []
    for number, line in enumerate(path.read_text("latin-1").splitlines(), start=1):
        try:
            user, gender, age, occupation, _ = line.split("::")
            rows.append((int(user), gender, AGE_GROUPS[int(age)], OCCUPATIONS_1M[int(occupation)]))
        except (ValueError, KeyError, IndexError) as error:
            raise ValueError(f"{path}, line {number}: expected UserID::Gender::Age::Occupation::Zip-code, "
                             f"found {line[:60]!r}") from error
    return rows


def _read_users_100k(path: Path) -> list[tuple]:
    rows = []
    for number, line in enumerate(path.read_text("latin-1").splitlines(), start=1):
        try:
            user, age, gender, occupation, _ = line.split("|")
            lower = max((lower for lower in AGE_GROUPS if lower <= int(age)), default=1)
            rows.append((int(user), gender, AGE_GROUPS[lower], occupation))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: expected user|age|gender|occupation|zip, "
                             f"found {line[:60]!r}") from error
    return rows


def _turn_article(title: str) -> str:
    """"Matrix, The (1999)" -> "The Matrix (1999)"; foreign articles too."""
    return re.sub(r"^(.*), (The|A|An|Le|La|Les|Il|Das|Der|Die|El|Los|Las|L')( \(.*)$",
                  lambda m: f"{m[2]}{'' if m[2].endswith(chr(39)) else ' '}{m[1]}{m[3]}", title)
