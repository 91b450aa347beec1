"""Data sets by name: the synthetic world, and MovieLens from files."""

from __future__ import annotations

from vaerec.datasets.movielens import LAYOUTS, load_movielens
from vaerec.datasets.synthetic import make_world
from vaerec.interactions import Interactions

__all__ = ["load"]

NAMES = ("synthetic", *LAYOUTS)


def load(name: str, **options) -> Interactions:
    """Load a data set.

    Parameters
    ----------
    name : str
        ``"synthetic"`` (embedded, the default of every notebook), ``"ml-100k"`` or ``"ml-1m"``.
    **options
        For ``"synthetic"`` only: see `vaerec.datasets.synthetic.make_world`.

    Returns
    -------
    Interactions

    Raises
    ------
    ValueError
        Unknown name.
    FileNotFoundError
        A MovieLens release that is not on this computer.

    Examples
    --------
    >>> import vaerec as vr
    >>> log = vr.load("synthetic")
    """
    if name == "synthetic":
        return make_world(**options)
    if options:
        raise ValueError(f"{sorted(options)}: options exist for 'synthetic' only, not for {name!r}")
    if name in LAYOUTS:
        return load_movielens(name)
    raise ValueError(f"unknown data set {name!r}: expected one of {', '.join(NAMES)}")
