"""What decides the numbers of a training run: never is something loaded that other code or data made.

One function, `identity`, serves ``resume=`` and `vaerec.load_or_fit`. It covers the data and, of a model, its
constructor's arguments, attributes, layers, buffers and frozen weights, the modules of this package that
decide numbers, and all that is the reader's own: the class and its bases, the functions and classes that they
call, what these close over, their defaults, partials and the global values that they name. The reader's code
counts as it was compiled, since the text of a file or of a notebook's cell may have been edited since; so
another version of Python makes it another.

Not covered: installed libraries and their versions, hooks, what is looked up by a name that is made while the
code runs, and first weights that `reset_parameters` leaves as they are and that are not frozen. A file of
this package that is edited after its import counts as edited.
"""

from __future__ import annotations

import builtins
import dis
import functools
import hashlib
import inspect
import json
import sys
import sysconfig
import types
from collections.abc import Iterator
from datetime import date, timedelta
from enum import Enum
from pathlib import Path, PurePath

import numpy as np
import pandas as pd
import torch
from torch import nn

from vaerec.interactions import Interactions
from vaerec.models.arguments import given_by_name
from vaerec.models.base import TopNRecommender
from vaerec.sources import ROOT, package_code
from vaerec.splits import HeldOut, Split

PACKAGE = __package__
PYTHON = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))
LIBRARIES = {"site-packages", "dist-packages"}
PLAIN = (bool, int, float, complex, str, bytes, range, slice, date, timedelta, PurePath, torch.dtype,
         torch.device, type(None), type(...))
# Names in a class that say nothing about what it computes.
OF_NO_WEIGHT = {"__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "__annotations__",
                "__firstlineno__", "__static_attributes__", "__annotate__", "__annotate_func__",
                "__annotations_cache__", "__conditional_annotations__", "_abc_impl"}
# Attributes of a layer that torch keeps for itself, and those of a model that a fit or a question sets.
INTERNAL = {name for name in vars(nn.GRU(1, 1)) if name.startswith("_")} | {
    "training", "catalogue", "item_ids", "_given", "_found"}
HEAP_TYPE = 1 << 9  # a class that is made while Python runs; the others are written in C
# Before Python 3.14 the first constant of every function is its docstring or None.
HAS_DOCSTRING = getattr(inspect, "CO_HAS_DOCSTRING", inspect.CO_NEWLOCALS)


class Unidentified(ValueError):
    """Something that takes part in training cannot be told from another of its kind."""


def identity(model: TopNRecommender, split: Split) -> dict:
    """Names and digests of what decides the numbers, beside the options of `vaerec.fit`.

    Returns
    -------
    dict
        As JSON holds it: model, hyper_parameters (None if JSON cannot hold them), code, protocol, data and
        validation.

    Raises
    ------
    Unidentified
        A value that the model or its code uses is neither plain nor made of plain values.
    """
    description = _Description()
    content = description(model)
    code = package_code("training", *sorted(description.modules))
    try:
        hyper_parameters = model.hyper_parameters()
    except ValueError:
        hyper_parameters = None  # what they are is in the content
    return {"model": type(model).__name__, "hyper_parameters": hyper_parameters,
            "code": _digest([content, code]), "protocol": split.name, "data": split.train.fingerprint,
            "validation": _questions(split.validation)}


def _questions(held_out: HeldOut) -> str:
    """Digest of the questions that choose the best epoch."""
    digest = hashlib.sha256()
    for histories in (held_out.fold_in, held_out.targets):
        digest.update(np.array([len(history) for history in histories], dtype=np.int64).tobytes())
        digest.update(np.concatenate([*histories, np.empty(0, np.int64)]).astype(np.int64).tobytes())
    return digest.hexdigest()[:16]


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


class _Description:
    """Turns a value into nested lists that are equal where the value computes the same.

    Attributes
    ----------
    modules : set of str
        Modules of this package that were met.
    """

    def __init__(self):
        self.modules: set[str] = set()
        self.known: dict[int, tuple[object, object]] = {}  # of functions, classes and models
        self.open: list[int] = []

    def __call__(self, value: object) -> object:
        if isinstance(value, Enum):
            return ["enum", type(value).__qualname__, value.name]
        if type(value) in PLAIN or isinstance(value, PurePath | np.dtype):
            return [type(value).__name__, repr(value)]
        if isinstance(value, np.generic):
            return [value.dtype.str, repr(value.item())]
        if id(value) in self.open:  # it holds itself, as a method does whose class is in its closure
            return ["itself", len(self.open) - self.open.index(id(value))]
        if id(value) not in self.known:
            self.open.append(id(value))
            description = self._of(value)
            self.open.pop()
            self.known[id(value)] = value, description  # kept, so that no other value gets its id
        return self.known[id(value)][1]

    def _of(self, value: object) -> object:
        for kinds, describe in (
                (np.ndarray, self._array), (torch.Tensor, self._tensor), (nn.Module, self._layer),
                ((pd.DataFrame, pd.Series, pd.Index), self._table), (types.FunctionType, self._function),
                (type, self._class), (types.ModuleType, self._module), (types.CodeType, self._code)):
            if isinstance(value, kinds):
                return describe(value)
        if isinstance(value, Interactions):
            return ["log", value.fingerprint]
        if isinstance(value, list | tuple):
            return [type(value).__name__, *map(self, value)]
        if isinstance(value, set | frozenset):
            return ["set", *sorted(map(self, value), key=json.dumps)]
        if isinstance(value, dict | types.MappingProxyType):
            return ["dict", *sorted(([self(key), self(part)] for key, part in value.items()), key=json.dumps)]
        parts = _parts(value)
        if parts is not None:
            return [type(value).__name__, *map(self, parts)]
        if isinstance(value, types.BuiltinFunctionType | np.ufunc) or inspect.isroutine(value):
            return ["builtin", getattr(value, "__module__", None), value.__name__]
        return self._object(value)

    def _object(self, value: object) -> object:
        slots = [name for base in type(value).__mro__ for name in getattr(base, "__slots__", ())]
        if not hasattr(value, "__dict__") and not slots:
            kind = f"{type(value).__module__}.{type(value).__qualname__}"
            raise Unidentified(f"a {kind} takes part in training and cannot be told from another one: give "
                               "the model plain values, such as numbers, texts and arrays")
        state = {name: getattr(value, name) for name in slots if hasattr(value, name)}
        return [self(type(value)), self(state | getattr(value, "__dict__", {}))]

    def _array(self, value: np.ndarray) -> object:
        if value.dtype.hasobject:
            return ["array", self(value.tolist())]
        return ["array", value.dtype.str, list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]

    def _tensor(self, value: torch.Tensor) -> object:
        if isinstance(value, nn.Parameter) and value.requires_grad:
            return ["drawn", list(value.shape)]  # by reset_parameters
        if value.layout is not torch.strided:
            value = value.to_dense()
        content = value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        return ["tensor", str(value.dtype), list(value.shape), hashlib.sha256(content).hexdigest()]

    def _table(self, value: pd.DataFrame | pd.Series | pd.Index) -> object:
        try:
            rows = pd.util.hash_pandas_object(value).to_numpy()
        except TypeError as error:
            raise Unidentified(f"a table that takes part in training holds more than plain values: {error}"
                               ) from error
        names = list(value.columns) if isinstance(value, pd.DataFrame) else value.name
        return ["table", self(names), self(rows)]

    def _layer(self, value: nn.Module) -> object:
        own = {name: part for name, part in vars(value).items() if name not in INTERNAL}
        weights = [[name, self(part)] for name, part in value.named_parameters(recurse=False)]
        buffers = [[name, self(part)] for name, part in value.named_buffers(recurse=False)
                   if name != "log_popularity"]
        layers = [[name, self(part)] for name, part in value.named_children()]
        given = given_by_name(type(value), *vars(value).get("_given", ((), {})))
        return [self(type(value)), self(own), self(given), weights, buffers, layers]

    def _module(self, value: types.ModuleType) -> object:
        name = value.__name__
        if _is_package(name):
            self._met(name)
        elif not _installed(getattr(value, "__file__", None) or "<frozen>"):
            own = {key: part for key, part in vars(value).items()
                   if not key.startswith("__") and getattr(part, "__module__", name) == name
                   and not isinstance(part, types.ModuleType)}
            return ["module", name, self(own)]
        return ["module", name]

    def _class(self, value: type) -> object:
        bases = []
        for base in value.__mro__:
            if not base.__flags__ & HEAP_TYPE or _is_known(base):
                bases.append([base.__module__, base.__qualname__])
                if _is_package(base.__module__):
                    self._met(base.__module__)
            else:
                own = {name: part for name, part in vars(base).items() if name not in OF_NO_WEIGHT
                       and not isinstance(part, types.MemberDescriptorType | types.GetSetDescriptorType)}
                bases.append([base.__name__, self(own)])
        return ["class", *bases]

    def _function(self, value: types.FunctionType) -> object:
        wrapped, file = getattr(value, "__wrapped__", None), value.__code__.co_filename
        if ROOT in Path(file).parents:
            self._met(value.__module__)
        if ROOT in Path(file).parents or _installed(file):
            return ["function", value.__module__, value.__qualname__, self(wrapped)]
        cells = [self(cell.cell_contents) if _filled(cell) else "empty" for cell in value.__closure__ or ()]
        named = {path: part for code in _codes(value.__code__)
                 for path, part in _globals(code, value.__globals__)}
        return ["function", self(value.__code__), self(value.__defaults__), self(value.__kwdefaults__), cells,
                sorted([path, self(part)] for path, part in named.items()), self(wrapped)]

    def _code(self, value: types.CodeType) -> object:
        constants = value.co_consts
        if value.co_flags & HAS_DOCSTRING and not value.co_name.startswith("<") and constants:
            constants = constants[1:]
        return [value.co_code.hex(), value.co_exceptiontable.hex(), [self(part) for part in constants],
                list(value.co_names), list(value.co_varnames), list(value.co_freevars),
                list(value.co_cellvars), value.co_argcount, value.co_kwonlyargcount, value.co_flags]

    def _met(self, module: str) -> None:
        # The package itself, as in vr.elbo.free_bits: any of its parts may be meant.
        inside = module.partition(".")[2]
        self.modules.update([inside] if inside else ["models", "elbo", "likelihoods", "evaluation"])


def _parts(value: object) -> list | None:
    """What a function in another coat is made of; None for anything else."""
    if isinstance(value, functools.partial | functools.partialmethod):
        return [value.func, value.args, value.keywords]
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, staticmethod | classmethod):
        return [value.__func__]
    if isinstance(value, property):
        return [value.fget, value.fset]
    if isinstance(value, functools.cached_property):
        return [value.func]
    wrapped = getattr(value, "__wrapped__", None) if not isinstance(value, type) else None
    return None if wrapped is None else [wrapped]


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A function's code and that of the functions inside it."""
    yield code
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            yield from _codes(part)


def _globals(code: types.CodeType, known: dict) -> Iterator[tuple[str, object]]:
    """Global values that a code names, and what it takes out of modules: dotted name and value."""
    steps = list(dis.get_instructions(code))
    for place, step in enumerate(steps):
        if step.opname not in ("LOAD_GLOBAL", "LOAD_NAME") or (
                step.argval not in known and hasattr(builtins, step.argval)):
            continue
        path, value = step.argval, known.get(step.argval, "missing")
        for further in steps[place + 1:]:
            is_attribute = further.opname in ("LOAD_ATTR", "LOAD_METHOD")
            if not (isinstance(value, types.ModuleType) and is_attribute and hasattr(value, further.argval)):
                break
            path, value = f"{path}.{further.argval}", getattr(value, further.argval)
        yield path, value


def _filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - asks whether there is any
    except ValueError:
        return False
    return True


def _is_package(module: str) -> bool:
    return module.partition(".")[0] == PACKAGE


def _installed(file: str) -> bool:
    """Whether a file of code belongs to Python or to an installed library."""
    path = Path(file)
    return file.startswith("<frozen") or not LIBRARIES.isdisjoint(path.parts) or any(
        folder in path.parents for folder in PYTHON)


def _is_known(cls: type) -> bool:
    """Whether a class is found under its name in this package, in Python or in an installed library."""
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None) or "<frozen>"
    found = module
    for part in cls.__qualname__.split("."):  # a class made by exec may call itself one of builtins
        found = getattr(found, part, None)
    return found is cls and cls.__module__ != "__main__" and (_is_package(cls.__module__) or _installed(file))
