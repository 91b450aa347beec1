"""What a reader calls items: raw ids in, dense items out, and a sentence that helps where that fails."""

from __future__ import annotations

import json
import reprlib
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

NUMBERS, TEXTS = "item_ids.numbers", "item_ids.json"  # names of tensors beside the weights
ON_UNKNOWN = ("raise", "skip")


class Finder:
    """Finds raw ids among those of a catalogue.

    An id is compared as the catalogue's type where that is unambiguous: "101" and 101.0 find 101, and
    101 finds "101"; "007" and 7 are two ids.

    Parameters
    ----------
    ids : array [n_items]
        Dense -> raw id.

    Raises
    ------
    ValueError
        An id stands there twice.
    """

    def __init__(self, ids: np.ndarray):
        self.ids = np.asarray(ids)
        self._places = pd.Index(self.ids.tolist(), dtype=object)
        if not self._places.is_unique:
            twice = self._places[self._places.duplicated()][0]
            raise ValueError(f"item_ids holds {shown(twice)} twice: expected each id once")

    @cached_property
    def _by_text(self) -> dict[str, int]:
        texts = [_text(raw) for raw in self._places]
        count = Counter(texts)
        return {text: place for place, text in enumerate(texts) if text is not None and count[text] == 1}

    def find(self, raw: list) -> np.ndarray:
        """Dense items of N raw ids, -1 for one that the catalogue does not have: int64 [N]."""
        wrong = next((one for one in raw if not isinstance(one, Hashable)), None)
        if wrong is not None:
            raise ValueError(f"a history holds {shown(wrong)}: expected ids such as {shown(self.ids[0])}")
        place = self._places.get_indexer(pd.Index(raw, dtype=object)).astype(np.int64)
        place[[isinstance(one, bool | np.bool_) for one in raw]] = -1  # Python counts True as 1
        for i in np.flatnonzero(place < 0):
            place[i] = self._by_text.get(_text(raw[i]), -1)
        return place

    def to_dense(self, histories: list[list], on_unknown: str) -> list[np.ndarray]:
        """Histories of raw ids -> of dense items, without unknown ones if they are to be skipped.

        Raises
        ------
        ValueError
            An unknown id, and ``on_unknown`` is "raise"; or that is another word.
        """
        if on_unknown not in ON_UNKNOWN:
            raise ValueError(f"on_unknown={on_unknown!r}: expected 'raise' or 'skip'")
        raw = [one for history in histories for one in history]
        place, ends = self.find(raw), np.cumsum([0, *map(len, histories)])
        unknown = np.flatnonzero(place < 0)
        if len(unknown) and on_unknown == "raise":
            wrong, history = raw[unknown[0]], int(np.searchsorted(ends, unknown[0], side="right")) - 1
            raise ValueError(f"item {shown(wrong)} of histories[{history}] is not in the catalogue, which "
                             f"has {len(self.ids)} ids such as {shown(self.ids[0])}; on_unknown='skip' "
                             "ignores such items")
        dense = np.split(place, ends[1:-1]) if histories else []
        return [history[history >= 0] for history in dense]


def as_lists(histories: Sequence[Sequence], in_order: bool) -> list[list]:
    """Histories as lists of raw ids; what only looks like a list of histories is refused.

    Parameters
    ----------
    histories : sequence of B sequences
    in_order : bool
        The order of a history means something, so that a set is none.

    Raises
    ------
    ValueError
        A text, a table or a mapping, a flat list of ids, or a set where the order counts.
    """
    if isinstance(histories, str | bytes | Mapping | pd.DataFrame) or not isinstance(histories, Iterable):
        raise ValueError(f"histories is {shown(histories)}: expected a list of histories, each a list of raw "
                         "ids, such as [[1, 2], [3]]")
    lists = []
    for place, history in enumerate(histories):
        own = history.tolist() if hasattr(history, "tolist") else history
        if isinstance(own, str | bytes | Mapping) or not isinstance(own, Iterable):
            raise ValueError(f"histories[{place}] is {shown(own)}: expected a list of raw ids. One user "
                             "alone is a list of one history, such as [[1, 2]]")
        if in_order and isinstance(own, set | frozenset):
            raise ValueError(f"histories[{place}] is a set, which has no order, and this model reads the "
                             "order: give a list, oldest first")
        lists.append(list(own))
    return lists


def to_tensors(ids: np.ndarray | None) -> dict[str, Tensor]:
    """Ids as what a file of weights can hold: numbers as they are, all else as JSON in UTF-8.

    Raises
    ------
    TypeError
        An id that is neither a number nor a text.
    """
    if ids is None:
        return {}
    if ids.dtype.kind in "iuf":
        return {NUMBERS: torch.from_numpy(ids.copy())}
    listed = ids.tolist()
    other = next((raw for raw in listed if not isinstance(raw, str | int | float)), None)
    if other is not None:
        raise TypeError(f"an item id is {shown(other)}: a file holds numbers and texts only")
    return {TEXTS: torch.frombuffer(bytearray(json.dumps(listed), "utf-8"), dtype=torch.uint8)}


def take_from(tensors: dict[str, Tensor]) -> np.ndarray | None:
    """The inverse of `to_tensors`: takes the ids out of a file's tensors, None if it holds none."""
    if NUMBERS in tensors:
        return tensors.pop(NUMBERS).numpy()
    if TEXTS in tensors:
        return np.array(json.loads(tensors.pop(TEXTS).numpy().tobytes()), dtype=object)
    return None


def shown(value: object) -> str:
    """A value and its type, short: what an error says about it."""
    value = value.item() if isinstance(value, np.generic) else value
    return f"{reprlib.repr(value)} ({type(value).__name__})"


def _text(raw: object) -> str | None:
    """What two ids of different types have in common, if they are the same; None for one of another kind."""
    if isinstance(raw, str):
        return str(raw)
    if isinstance(raw, bool | np.bool_):
        return None
    if isinstance(raw, int | np.integer):
        return str(int(raw))
    if isinstance(raw, float | np.floating) and float(raw).is_integer():
        return str(int(raw))
    return None
