"""Checks of arguments that several modules share."""

from __future__ import annotations

from numbers import Integral


def check_whole(at_least: int = 1, **values: int) -> None:
    """Raise ValueError for a value that is not a whole number, of numpy's types too; names it."""
    for name, value in values.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < at_least:
            raise ValueError(f"{name}={value!r}: expected a whole number of at least {at_least}")
