"""Data by name: the synthetic world and MovieLens. And the reader's own files."""

from __future__ import annotations

import os

from vaerec.datasets.files import ENDINGS, load_file
from vaerec.datasets.movielens import LAYOUTS, load_movielens
from vaerec.datasets.synthetic import make_world
from vaerec.interactions import Interactions

__all__ = ["load"]

NAMES = ("synthetic", *LAYOUTS)


def load(source: str | os.PathLike, **options) -> Interactions:
    """Load a data set by its name, or the reader's own file.

    Parameters
    ----------
    source : str or path
        - ``"synthetic"``: made on the spot, needs no download;
        - ``"ml-100k"``, ``"ml-1m"``, ``"ml-20m"``, ``"ml-32m"``: MovieLens. Looked for in the folder
          that the environment variable ``VAEREC_DATA`` names, below ``/kaggle/input`` and in the user's
          cache, then downloaded;
        - a path to ``.csv``, ``.csv.gz`` or ``.parquet``, or to a folder of Parquet files, with columns
          user, item and, if known, rating and timestamp.
    **options
        For ``"synthetic"`` those of `vaerec.datasets.synthetic.make_world`, for a path those of
        `vaerec.datasets.files.load_file`. MovieLens takes none.

    Returns
    -------
    Interactions
        Its ``origin`` says whether it is the official copy: only data from an archive whose checksum
        holds is.

    Raises
    ------
    ValueError
        An unknown name, or a file that cannot be read: names the first row at fault.
    FileNotFoundError
        No such file, or a MovieLens release that could be had from nowhere: says what was tried.

    Examples
    --------
    >>> import vaerec as vr
    >>> log = vr.load("synthetic")
    >>> log = vr.load("log.csv", user="customer", item="sku", items="catalogue.csv")  # doctest: +SKIP
    """
    if source == "synthetic":
        return make_world(**options)
    if source in LAYOUTS:
        if options:
            raise ValueError(f"{sorted(options)}: {source!r} takes no options; 'synthetic' and files do")
        return load_movielens(source)
    name = os.fspath(source)
    if isinstance(source, os.PathLike) or name.lower().endswith(ENDINGS) or os.path.exists(name):
        return load_file(source, **options)
    raise ValueError(f"unknown data set {source!r}: expected one of {', '.join(NAMES)}, or a path that "
                     f"ends in {', '.join(ENDINGS)} or is a folder of Parquet files")
