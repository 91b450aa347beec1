"""Data by name: the synthetic world and MovieLens. And the reader's own files."""

from __future__ import annotations

from vaerec.datasets.logs import is_log, load_log
from vaerec.datasets.logs.sources import ENDINGS
from vaerec.datasets.movielens import LAYOUTS, load_movielens
from vaerec.datasets.synthetic import make_world
from vaerec.interactions import Interactions

__all__ = ["load"]

NAMES = ("synthetic", *LAYOUTS)


def load(source, **options) -> Interactions:
    """Load a data set by its name, or the reader's own log.

    Parameters
    ----------
    source : str, path, DataFrame or Arrow table
        - ``"synthetic"``: made on the spot, needs no download;
        - ``"ml-100k"``, ``"ml-1m"``, ``"ml-20m"``, ``"ml-32m"``: MovieLens. Looked for in the folder
          that the environment variable ``VAEREC_DATA`` names, below ``/kaggle/input`` and in the user's
          cache, then downloaded;
        - a path to text (``.csv``, ``.tsv``, ``.txt``, ``.dat``, ``.data``, ``.inter``), JSON (``.json``,
          ``.jsonl``), each also packed as ``.gz`` or ``.zip``, or ``.parquet``; or to a folder of Parquet
          files; with columns user, item and, if known, rating and timestamp;
        - a pandas, Arrow or other table in memory with these columns.
    **options
        For ``"synthetic"`` those of `vaerec.datasets.synthetic.make_world`, for a log those of
        `vaerec.datasets.logs.load_log`. MovieLens takes none.

    Returns
    -------
    Interactions
        Its ``origin`` says whether it is the official copy: only data from an archive whose checksum
        holds is.

    Raises
    ------
    ValueError
        An unknown name, or a file that cannot be read: names the first row at fault.
    TypeError
        Neither a name nor a path nor a table.
    FileNotFoundError
        No such file, or a MovieLens release that could be had from nowhere: says what was tried.

    Examples
    --------
    >>> import vaerec as vr
    >>> log = vr.load("synthetic")
    >>> log = vr.load("log.csv", user="customer", item="sku", items="catalogue.csv")  # doctest: +SKIP
    >>> log = vr.load(frame, user="customer", item="sku")  # doctest: +SKIP
    """
    if isinstance(source, str) and source == "synthetic":
        return make_world(**options)
    if isinstance(source, str) and source in LAYOUTS:
        if options:
            raise ValueError(f"{sorted(options)}: {source!r} takes no options; 'synthetic' and files do")
        return load_movielens(source)
    if is_log(source):
        return load_log(source, **options)
    if not isinstance(source, str):
        raise TypeError(f"cannot load {type(source).__name__}: expected one of {', '.join(NAMES)}, a path, "
                        "or a DataFrame or Arrow table with columns user and item")
    raise ValueError(f"unknown data set {source!r}: expected one of {', '.join(NAMES)}, a DataFrame, or a "
                     f"path that ends in {', '.join(ENDINGS)} or is a folder of Parquet files")
