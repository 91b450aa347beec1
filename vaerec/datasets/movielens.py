"""MovieLens (Harper & Konstan 2015): where a release is found, and whether it is the official one.

An archive is read as it is. Nothing is unpacked, so nothing can be left half unpacked, and the checksum
of the archive is compared in each load: what comes out of it is official. A folder is not.
"""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from platformdirs import user_cache_path

from vaerec.datasets import movielens_tables as parse
from vaerec.datasets.download import fetch, sha256_of
from vaerec.datasets.logs.cache import cached
from vaerec.datasets.logs.streams import Source
from vaerec.datasets.movielens_tables import AGE_GROUPS
from vaerec.interactions import Interactions, describe_items

__all__ = ["AGE_GROUPS", "LAYOUTS", "Layout", "Places", "load_movielens", "load_users"]

GROUPLENS = "https://files.grouplens.org/datasets/movielens/"
MIRROR = "https://huggingface.co/datasets/Recommenders/MovieLens/resolve/main/"
TERMS = """\
MovieLens is the data of GroupLens, University of Minnesota. It is for research, not for revenue without
their permission, must not be passed on without it, and implies no endorsement by them. Please cite
  F. M. Harper and J. A. Konstan (2015): The MovieLens Datasets: History and Context. ACM Transactions
  on Interactive Intelligent Systems 5 (4), 19. https://doi.org/10.1145/2827872
The full terms are in the archive's README."""


@dataclass(frozen=True)
class Layout:
    """A MovieLens release: its files, its size, and its archive.

    Attributes
    ----------
    ratings, movies, users : str
        Names of the files; None for ``users`` where there is none.
    separator : str
        Between the fields of the ratings.
    n_ratings : int
    stars : tuple of float
        Lowest and highest rating.
    urls : tuple of str
        Sources of the archive, in the order in which they are tried.
    sha256 : str
        Checksum of the archive.
    """

    ratings: str
    movies: str
    separator: str
    n_ratings: int
    users: str | None = None
    stars: tuple[float, float] = (0.5, 5)
    urls: tuple[str, ...] = ()
    sha256: str = ""

    @property
    def largest(self) -> int:
        """More bytes than any file of the release has: its ratings, the longest, take 20 to 28 a row."""
        return 64 * self.n_ratings + 2**20


def _urls(file: str) -> tuple[str, str]:
    return GROUPLENS + file, MIRROR + file


LAYOUTS = {
    "ml-100k": Layout(
        "u.data", "u.item", "\t", 100_000, "u.user", (1, 5), _urls("ml-100k.zip"),
        "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229"),
    "ml-1m": Layout(
        "ratings.dat", "movies.dat", "::", 1_000_209, "users.dat", (1, 5), _urls("ml-1m.zip"),
        "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20"),
    "ml-20m": Layout(
        "ratings.csv", "movies.csv", ",", 20_000_263, urls=_urls("ml-20m.zip"),
        sha256="96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3"),
    "ml-32m": Layout(
        "ratings.csv", "movies.csv", ",", 32_000_204, urls=(GROUPLENS + "ml-32m.zip",),
        sha256="e4a68655d7386b8f95f2f2424b2ff975dfdd15ffd59e0d864a14dca43e99d6ee"),
}


@dataclass(frozen=True)
class Places:
    """Where a release may lie; downloads go to the cache."""

    data: Path | None
    kaggle: Path
    cache: Path

    @classmethod
    def of_this_computer(cls) -> Places:
        """``$VAEREC_DATA``, Kaggle's inputs, and the user's cache."""
        data = os.environ.get("VAEREC_DATA")
        return cls(Path(data) if data else None, Path("/kaggle/input"), user_cache_path("vaerec"))


@dataclass(frozen=True)
class _Found:
    """A release: the folder of its files, on disk or in an archive, and the archive if it is official."""

    folder: Source
    archive: Path | None = None


def load_movielens(name: str, places: Places | None = None) -> Interactions:
    """Read a MovieLens release, downloading it if it is not on this computer.

    Parameters
    ----------
    name : str
        A key of `LAYOUTS`.
    places : Places, optional
        Where to look, in this order; by default `Places.of_this_computer`. In each place the archive
        ``<name>.zip`` comes before the folder ``<name>``. Kaggle's inputs may be called anything.

    Raises
    ------
    FileNotFoundError
        It is nowhere and cannot be downloaded; says what was tried and where to put it by hand.
    ValueError
        A file is truncated, a row cannot be read, or an archive is not one of GroupLens.
    """
    layout = LAYOUTS[name]
    found = _find(name, layout, places or Places.of_this_computer())
    ratings = found.folder / layout.ratings

    def read() -> Interactions:
        return Interactions.from_frame(
            parse.read_ratings(ratings, layout.separator, layout.n_ratings, layout.stars))

    # Parsing the large releases is worth a cache; `cached` decides by the size of the source.
    source = found.archive or Path(ratings)
    log = cached(source, {"release": name}, read, layout.sha256 if found.archive else None)
    movies = describe_items(log.item_ids, parse.read_movies(found.folder / layout.movies))
    return replace(log, items=movies, official=found.archive is not None)


def load_users(name: str, places: Places | None = None) -> pd.DataFrame:
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
        The release cannot be had, or its file of users is not beside the ratings.
    ValueError
        A release that says nothing about its users, or a row that cannot be read.
    """
    layout = LAYOUTS.get(name)
    if layout is None or layout.users is None:
        known = [known for known, one in LAYOUTS.items() if one.users]
        raise ValueError(f"{name!r} says nothing about its users: expected one of {', '.join(known)}")
    path = _find(name, layout, places or Places.of_this_computer()).folder / layout.users
    if not path.is_file():
        raise FileNotFoundError(f"no {path}: copy {layout.users} of {name}.zip there")
    return parse.read_users(path)


def _find(name: str, layout: Layout, places: Places) -> _Found:
    tried = []
    for candidate in _candidates(name, layout, places):
        try:
            return _open(candidate, name, layout)
        except (ValueError, OSError) as error:
            tried.append(str(error))
    archive = places.cache / f"{name}.zip"
    print(f"{name} is not on this computer; downloading it to {archive}\n{TERMS}", flush=True)
    try:
        fetch(layout.urls, archive, layout.sha256)
    except OSError as error:
        home = places.data or places.cache
        lines = "\n".join(f"  {line}" for line in (*tried, *str(error).splitlines()))
        raise FileNotFoundError(
            f"{name} could not be had. Tried:\n{lines}\nBy hand: download {name}.zip with a browser, from "
            f"{' or '.join(layout.urls)}, and put it, still packed, at {home / f'{name}.zip'}; or set the "
            f'environment variable VAEREC_DATA to the folder where it lies. vr.load("synthetic") needs no '
            "download.") from error
    return _open(archive, name, layout)


def _candidates(name: str, layout: Layout, places: Places) -> Iterator[Path]:
    for place in (places.data, places.cache):
        if place is places.cache:
            yield from _inputs_of_kaggle(name, layout, places.kaggle)
        if place is not None:
            yield from (place / f"{name}.zip", place / name)


def _inputs_of_kaggle(name: str, layout: Layout, kaggle: Path) -> Iterator[Path]:
    """Archives, and folders with as many ratings: several releases use the same file names."""
    for depth in ("*/", "*/*/", "*/*/*/"):
        yield from sorted(kaggle.glob(f"{depth}{name}.zip"))
        for ratings in sorted(kaggle.glob(depth + layout.ratings)):
            header = layout.separator == ","
            if _count_lines(ratings) - header in (layout.n_ratings - 1, layout.n_ratings):
                yield ratings.parent


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(2**22), b""))


def _open(candidate: Path, name: str, layout: Layout) -> _Found:
    """A candidate that holds the release.

    Raises
    ------
    FileNotFoundError
        It is not there, or files are missing in it.
    ValueError
        An archive whose checksum does not hold, or that holds what no archive of GroupLens does.
    """
    if candidate.suffix != ".zip":
        for file in (layout.ratings, layout.movies):
            if not (candidate / file).is_file():
                raise FileNotFoundError(f"{candidate / file}: no such file")
        return _Found(candidate)
    if not candidate.is_file():
        raise FileNotFoundError(f"{candidate}: no such file")
    checksum = sha256_of(candidate)
    if checksum != layout.sha256:
        raise ValueError(f"{candidate}: SHA-256 is {checksum}, not that of GroupLens: not used, get it again")
    try:
        with zipfile.ZipFile(candidate) as archive:
            _refuse_unsafe(archive, name, layout)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{candidate}: not a zip archive ({error})") from error
    return _Found(zipfile.Path(candidate, f"{name}/"), candidate)


def _refuse_unsafe(archive: zipfile.ZipFile, name: str, layout: Layout) -> None:
    """Refuse members that point outside, links, and what takes more memory than the release can."""
    for member in archive.infolist():
        named = f"{archive.filename}: its member {member.filename!r}"
        parts = member.filename.replace("\\", "/").split("/")
        if ".." in parts or parts[0] == "" or ":" in parts[0]:
            raise ValueError(f"{named} points outside the archive's own folder: refused")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ValueError(f"{named} is a link: refused")
        if member.file_size > layout.largest:
            raise ValueError(f"{named} would take {member.file_size:,} bytes, more than any file of {name}: "
                             "refused")
    for file in (layout.ratings, layout.movies):
        if f"{name}/{file}" not in archive.namelist():
            raise ValueError(f"{archive.filename}: no member {name}/{file}")
