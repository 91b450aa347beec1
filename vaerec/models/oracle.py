"""The ranking that no model can beat on average: that of who wrote the world."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vaerec.datasets.synthetic import SyntheticInteractions, choice_weights, steps
from vaerec.interactions import Interactions
from vaerec.models.base import Histories, TopNRecommender
from vaerec.protocols import TARGETS, Split


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

    **How the probability is found.** Films are drawn one at a time, without replacement. With the
    choice weights :math:`w_t(i) = \exp(f_i \cdot z_t + b_i)` and :math:`r_t(i)`, the probability
    that film i is still unseen at open step t, a film that is unseen is drawn with probability

    .. math:: h_t(i) = \frac{w_t(i)}{w_t(i) + \sum_{j \ne i} r_t(j) w_t(j)},
              \qquad r_{t+1}(i) = r_t(i) (1 - h_t(i)),

    where r starts at 0 for films shown and at 1 for all others; the score is the probability
    :math:`\sum_t r_t(i) h_t(i)` of being drawn at an open step. Summing the weights alone would
    let a favourite of all steps count many times, though it can be drawn only once.

    **What is approximate.** The true denominator is the random mass of the films unseen at step t;
    here its expectation stands for it, and the other films are treated as independent of film i.
    With many films and no film that takes most of the mass, both errors are small and alike for
    all films, so they hardly move the order (a test draws the choices anew and compares). For
    random targets, two more pieces of knowledge are left out: how the film of an open step changes
    the odds of the shown films after it, and that random fold-ins are drawn from all films alike.

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

    def remember_popularity(self, split: Split) -> None:
        """Take over the split's catalogue, which may lack items that training never saw."""
        self.n_items = split.n_items
        self.log_popularity = torch.zeros(split.n_items)
        super().remember_popularity(split)

    def fit_closed_form(self, split: Split) -> None:
        """Learn nothing but the item numbers and the kind of targets."""
        if split.targets not in TARGETS:
            raise ValueError(f"the split's targets are {split.targets!r}: expected one of {TARGETS}")
        columns = pd.Index(self.truth.item_ids).get_indexer(split.item_ids)
        if (columns < 0).any():
            foreign = split.item_ids[int((columns < 0).argmax())]
            raise ValueError(f"item {foreign!r} of the split is not in the oracle's world: make the "
                             "split and the oracle from the same log")
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
        drawn = _draw_probability(self.truth.taste[row], n_open, ~shown,
                                  self.truth.item_factors, self.truth.item_bias)
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


def _draw_probability(taste, lengths, unseen, factors, bias) -> np.ndarray:
    """Probability of each film to be drawn at one of a user's open steps, [B, I].

    ``taste`` [n, L] holds the open steps of B users, one user after another; ``lengths`` [B] counts
    them; ``unseen`` [B, I] marks the films that can be drawn.
    """
    order = np.argsort(-lengths, kind="stable")
    start = (np.cumsum(lengths) - lengths)[order]
    left = unseen[order].astype(np.float64)  # r_t(i)
    for t, n in steps(lengths[order]):
        weight = choice_weights(taste[start[:n] + t], factors, bias)  # [n, I]
        expected = left[:n] * weight
        others = expected.sum(axis=1, keepdims=True) - expected
        left[:n] *= others / (others + weight)  # 1 - h_t(i)
    drawn = np.empty_like(left)
    drawn[order] = unseen[order] - left
    return drawn
