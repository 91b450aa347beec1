"""The one order of items by score: equal scores are decided by a fixed permutation, never by accident.

``torch.topk`` alone breaks ties by an order that depends on k. A model that gives many items one score
would then be measured by that order: popularity, above all, whose counts are whole numbers.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

TIE_SEED = 0


@lru_cache(maxsize=8)
def tie_order(n_items: int) -> np.ndarray:
    """All dense items, int64 [I]: of items with equal scores the one that comes first here ranks first."""
    order = np.random.RandomState(TIE_SEED).permutation(n_items)  # the legacy generator never changes
    order.flags.writeable = False
    return order


def best(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k highest scores of each row of [B, I] and their items, each [B, K], best first.

    Equal scores stand in `tie_order`. So the list for k is the beginning of the list for any larger k,
    whatever the batch and the device. Rows without ties cost one ``topk``.
    """
    n_items = scores.shape[1]
    values, items = scores.topk(min(k + 1, n_items), dim=1)  # one more shows a tie at the list's end
    rows = (values[:, 1:] == values[:, :-1]).any(dim=1).nonzero().squeeze(1)
    if len(rows):
        items[rows, :k] = _in_tie_order(scores[rows], items[rows, :k], values[rows, k - 1:])
    return values[:, :k], items[:, :k]


def _in_tie_order(scores: Tensor, items: Tensor, ends: Tensor) -> Tensor:
    """``items`` [B, K] for rows with ties; ``ends`` holds the last score of each list and the next one."""
    place = torch.from_numpy(np.argsort(tie_order(scores.shape[1]))).to(scores.device)  # [I]
    if ends.shape[1] > 1:
        rows = (ends[:, 0] == ends[:, 1]).nonzero().squeeze(1)
        items[rows] = _with_first_of_the_last(scores[rows], ends[rows, :1], place, items.shape[1])
    items = items.gather(1, place[items].argsort(dim=1))
    return items.gather(1, scores.gather(1, items).argsort(dim=1, descending=True, stable=True))


def _with_first_of_the_last(scores: Tensor, last: Tensor, place: Tensor, k: int) -> Tensor:
    """The k items above the score ``last`` [B, 1], filled up with the first of those that have it."""
    n_items = len(place)
    key = torch.where(scores == last, (n_items - place).int(), 0)  # [B, I]; int32 is ranked faster than int64
    return key.masked_fill_(scores > last, n_items + 1).topk(k, dim=1).indices
