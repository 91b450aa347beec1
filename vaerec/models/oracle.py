"""The ranking that no model can beat on average: that of who wrote the world."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vaerec.datasets.synthetic import SyntheticInteractions, Truth, steps
from vaerec.interactions import Interactions
from vaerec.models.base import Histories, TopNRecommender
from vaerec.protocols import TARGETS
from vaerec.splits import Split

NEWTON_STEPS = 3  # the expected number of films drawn per step is then 1 within 10^-7


class Oracle(TopNRecommender):
    r"""Scores films by the true probability of being among a user's targets.

    **What it knows.** The decoder, the user's taste at every step, and at which steps the shown
    films were chosen; not what was chosen at the other steps. Of these the *open* ones are asked
    about: for random targets the steps whose film is not shown, for temporal targets the steps
    after the last film shown. With none left, the user's last taste stands for what comes next.

    **Why this order is best.** The expected DCG of a list is
    :math:`\sum_r P(\text{film at rank } r \text{ is a target}) / \log_2(r + 1)`. The discount
    falls with r, so sorting by that probability maximises the sum; dividing by the ideal DCG, a
    function of the number of targets alone, changes nothing. The same holds for recall and
    precision. It is a maximum in expectation: on a given sample a model may be luckier.

    **How the probability is found.** Films are drawn one at a time, without replacement. Let
    :math:`w_t(i) = \exp(f_i \cdot z_t + b_i)` be the choice weights and :math:`r_t(i)` the
    probability that film i is still unseen at open step t: 0 at first for films shown, 1 for all
    others. A film that is unseen at step t is then drawn with probability

    .. math:: h_t(i) = \frac{w_t(i)}{M_t - r_t(i) w_t(i) + w_t(i)},
              \qquad r_{t+1}(i) = r_t(i) (1 - h_t(i)):

    its own weight over the mass of all unseen films, in which it counts in full, since it is
    unseen, and the others by their expectation. The score is :math:`\sum_t r_t(i) h_t(i)`. The mass
    :math:`M_t` is set so that one film is drawn at each step, :math:`\sum_i r_t(i) h_t(i) = 1`: it
    is a little below the expectation :math:`\sum_j r_t(j) w_t(j)`, since the mass is random and the
    mean of an inverse exceeds the inverse of the mean. Summing plain choice probabilities over the
    steps instead would let a favourite of all steps count many times, though it is drawn once.

    **What is approximate.** The films are treated as independent of each other given the tastes. A
    test draws the choices anew 40,000 times: probabilities agree within .03 and expected DCG within
    .1 % even where a third of the unseen films is drawn. For random targets two pieces of knowledge
    are left out besides: that a film drawn at an open step was in the way of the films shown after
    it, and which open steps the protocol dropped (films unknown to training).

    Parameters
    ----------
    log : SyntheticInteractions
        From ``vr.load("synthetic")``, filtered or not. The catalogue and the kind of targets come
        from the split that `vaerec.fit` is given.

    Raises
    ------
    ValueError
        ``log`` is not synthetic; in `scores`, a user who is not in the world, or no fit before.
    """

    needs_users = True

    def __init__(self, log: Interactions):
        if not isinstance(log, SyntheticInteractions):
            raise ValueError(f"Oracle got {log!r}: only the synthetic world knows its true scores; "
                             'load it with vr.load("synthetic")')
        super().__init__(log.n_items)
        self.truth = log.truth
        self.targets: str | None = None
        self.columns: np.ndarray | None = None  # the split's dense item -> the truth's, [I]

    def hyper_parameters(self) -> dict:
        """Refuse: the oracle is its world, which a file of weights cannot hold."""
        raise ValueError("an Oracle cannot be saved: make it again from its log, Oracle(log)")

    def remember_popularity(self, split: Split) -> None:
        """Take over the split's catalogue, which may lack items that training never saw."""
        self.n_items = split.n_items
        self.log_popularity = torch.zeros(split.n_items)
        super().remember_popularity(split)

    def fit_closed_form(self, split: Split) -> None:
        """Learn nothing but the item numbers and the kind of targets."""
        if split.targets not in TARGETS:
            raise ValueError(f"split.targets={split.targets!r}: expected one of {TARGETS}")
        columns = pd.Index(self.truth.item_ids).get_indexer(split.item_ids)
        if (columns < 0).any():
            foreign = split.item_ids[int((columns < 0).argmax())]
            raise ValueError(f"item {foreign!r} of the split is not in the oracle's world: make "
                             "split and oracle from the same log")
        self.columns, self.targets = columns, split.targets

    def score_batch(self, histories: Histories, users: Sequence | None = None) -> Tensor:
        """Probability of being drawn at an open step, [B, I]; 0 for the films of the history."""
        if self.columns is None:
            raise ValueError("this Oracle has no split yet: call vr.fit(oracle, split) first")
        place = self.truth.locate(users)
        shown = np.zeros((len(histories), len(self.truth.item_ids)), dtype=bool)  # [B, I]
        batch_row = np.repeat(np.arange(len(histories)), [len(h) for h in histories])
        shown[batch_row, self.columns[np.concatenate([*histories, np.empty(0, np.int64)])]] = True
        row, n_open = self._open_steps(place, shown)
        drawn = _draw_probability(self.truth, row, n_open, ~shown)
        return torch.from_numpy(drawn[:, self.columns]).float().to(self.device)

    def _open_steps(self, place: np.ndarray, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the truth's steps that are asked about, user by user, and their number [B]."""
        start, stop = self.truth.start[place], self.truth.start[place + 1]
        user = np.repeat(np.arange(len(place)), stop - start)  # [N], N steps of the batch
        row = np.concatenate([np.arange(a, b) for a, b in zip(start, stop, strict=True)])
        closed = shown[user, self.truth.item[row]]
        if self.targets == "temporal":
            last = np.full(len(place), -1)
            np.maximum.at(last, user[closed], row[closed])
            closed = row <= last[user]
        is_open = ~closed
        finished = np.bincount(user[is_open], minlength=len(place)) == 0
        is_open |= finished[user] & (row == stop[user] - 1)
        return row[is_open], np.bincount(user[is_open], minlength=len(place))


def _draw_probability(truth: Truth, row: np.ndarray, lengths: np.ndarray,
                      unseen: np.ndarray) -> np.ndarray:
    """Probability of each film to be drawn at one of a user's open steps, [B, I].

    ``row`` names the open steps of B users, one user after another; ``lengths`` [B] counts them;
    ``unseen`` [B, I] marks the films that can be drawn.
    """
    order = np.argsort(-lengths, kind="stable")
    start = (np.cumsum(lengths) - lengths)[order]
    left = unseen[order].astype(np.float64)  # r_t(i)
    for t, n in steps(lengths[order]):
        weight = truth.weights(truth.taste[row[start[:n] + t]])  # [n, I]
        left[:n] *= 1 - _hazard(weight, left[:n])
    drawn = np.empty_like(left)
    drawn[order] = unseen[order] - left
    return drawn


def _hazard(weight: np.ndarray, left: np.ndarray) -> np.ndarray:
    """h_t(i), the probability that a film is drawn now if it is unseen: [B, I] from two [B, I].

    Newton's method finds u = 1 / M with sum_i left h = 1. The sum is concave and increasing in u
    and below 1 at the start, so each iterate lies between the last one and the solution.
    """
    seen_weight = (1 - left) * weight
    u = 1 / (left * weight).sum(axis=1, keepdims=True)  # [B, 1]
    for _ in range(NEWTON_STEPS):
        share = 1 / (1 + seen_weight * u)
        slope = left * weight * share
        excess = u * slope.sum(axis=1, keepdims=True) - 1
        u -= excess / (slope * share).sum(axis=1, keepdims=True)
    # Independence can ask for more than certainty of a film that has nearly all the mass.
    return np.minimum(weight * u / (1 + seen_weight * u), 1)
