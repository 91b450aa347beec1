"""What a model's constructor was given: checks of sizes, and the arguments as a file can hold them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from numbers import Integral

import numpy as np
from torch import nn

from vaerec.schedules import SCHEDULES, schedule_to_dict


def check_k(k: int, n_items: int) -> None:
    """Raise ValueError for a length of lists that the catalogue does not allow."""
    if not isinstance(k, Integral) or isinstance(k, bool) or not 1 <= k <= n_items:
        raise ValueError(f"k={k!r}: the catalogue has {n_items} items, so expected a whole number from 1 to "
                         f"{n_items}")


def widths(name: str, values: Iterable[int]) -> tuple[int, ...]:
    """The widths of layers.

    Raises
    ------
    ValueError
        Not a list of whole numbers of at least 1.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ValueError(f"{name}={values!r}: expected a list of widths, such as {name}=[{values}]")
    values = tuple(values)
    if not all(isinstance(value, Integral) and value >= 1 for value in values):
        raise ValueError(f"{name}={values}: expected positive sizes, whole numbers, one a layer")
    return tuple(map(int, values))


def constructor_arguments(model: object, args: tuple, kwargs: dict) -> dict:
    """Arguments by name, as JSON can hold them.

    A class of this package keeps each argument in an attribute of its name, which may have been changed
    since. What any other class does with its arguments is its own: for these the arguments count.

    Raises
    ------
    ValueError
        One that JSON cannot hold.
    """
    given = given_by_name(type(model), args, kwargs)
    if _owner(type(model)).__module__.partition(".")[0] == __package__.partition(".")[0]:
        given = {name: getattr(model, name) for name in given}
    return {name: _as_json(name, value, type(model).__name__) for name, value in given.items()}


def given_by_name(cls: type, args: tuple, kwargs: dict) -> dict:
    """Arguments of ``cls(*args, **kwargs)`` by name, with the defaults of those that are not given.

    What a constructor takes as ``*args`` and ``**kwargs`` it is taken to pass on to the next class.
    """
    owner = _owner(cls)
    signature = inspect.signature(owner.__init__)
    try:
        bound = signature.bind(None, *args, **kwargs)
    except TypeError:  # a copy is being made, whose attributes come later
        return {}
    bound.apply_defaults()
    given, rest, more = {}, (), {}
    for position, (name, parameter) in enumerate(signature.parameters.items()):
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            rest = bound.arguments[name]
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            more = bound.arguments[name]
        elif position:
            given[name] = bound.arguments[name]
    if rest:
        following = cls.__mro__[cls.__mro__.index(owner) + 1]
        names = list(inspect.signature(_owner(following).__init__).parameters)[1:]
        given |= dict(zip(names, rest, strict=False))
    return given | more


def _owner(cls: type) -> type:
    """The class that wrote ``cls.__init__``."""
    return next(base for base in cls.__mro__ if "__init__" in vars(base))


def _as_json(name: str, value: object, owner: str) -> object:
    if type(value) in SCHEDULES.values() or (name == "beta" and callable(value)):
        return schedule_to_dict(value)
    if isinstance(value, nn.Dropout):
        return value.p
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_as_json(name, part, owner) for part in value]
    if isinstance(value, dict):
        return {str(key): _as_json(name, part, owner) for key, part in value.items()}
    raise ValueError(f"{name}={value!r} of {owner} cannot be saved: a file holds numbers, texts, lists of "
                     "them and the schedules of vaerec.elbo")
