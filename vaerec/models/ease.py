"""EASE: a linear map from what a user consumed to what comes next (Steck 2019)."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from vaerec.memory import total_memory
from vaerec.models.base import Histories, TopNRecommender
from vaerec.splits import Split

WEIGHTS, FITTING = 4, 32  # bytes a pair of items: of the model, and the peak while it is fitted


class EASE(TopNRecommender):
    r"""Item-to-item weights B, found in closed form.

    .. math:: \min_B \|X - XB\|_F^2 + \lambda \|B\|_F^2 \quad \text{with } \operatorname{diag} B = 0

    With :math:`P = (X^\top X + \lambda I)^{-1}` the solution is :math:`B_{ij} = -P_{ij} / P_{jj}`
    off the diagonal (Steck 2019, eq. 8). Without the constraint, B would tend to the identity.

    Parameters
    ----------
    n_items : int
    l2 : float
        The ridge penalty lambda, in units of users.
    recency : float, optional
        Weigh a history's items by ``recency ** age`` when scoring, with age 0 for the newest; of an item
        that comes twice the latest place counts. None weighs all items alike.

    Raises
    ------
    ValueError
        ``l2`` is not positive, ``recency`` is outside (0, 1], or the machine lacks the memory for a number a
        pair of items.
    """

    def __init__(self, n_items: int, l2: float = 500.0, recency: float | None = None):
        super().__init__(n_items)
        _refuse_too_many(self.n_items, WEIGHTS, "")
        if not l2 > 0:
            raise ValueError(f"l2={l2}: the penalty must be positive, or X'X cannot be inverted")
        if recency is not None and not 0 < recency <= 1:
            raise ValueError(f"recency={recency}: expected None or a weight in (0, 1]")
        self.l2, self.recency = l2, recency
        self.register_buffer("weights", torch.zeros(n_items, n_items))

    def fit_closed_form(self, split: Split) -> None:
        """Invert one I × I matrix: about I³ multiply-adds.

        Raises
        ------
        ValueError
            The machine lacks the memory.
        """
        _refuse_too_many(self.n_items, FITTING, " while it is fitted")
        x = split.train.to_csr()
        gram = torch.from_numpy((x.T @ x).toarray()).double()
        gram.diagonal().add_(self.l2)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        weights = -inverse / inverse.diagonal()
        weights.fill_diagonal_(0)
        self.weights.copy_(weights)

    def score_batch(self, histories: Histories, users=None) -> Tensor:
        """Weighted sum of the rows of B that belong to the history, [B, I]."""
        lengths = np.array([len(history) for history in histories], dtype=np.int64)
        ends = np.cumsum([0, *lengths])
        items = np.concatenate([*histories, np.empty(0, np.int64)])
        age = np.repeat(ends[1:] - 1, lengths) - np.arange(len(items))
        weight = np.ones(len(items)) if self.recency is None else self.recency**age
        x = sp.csr_matrix((weight.astype(np.float32), items, ends), shape=(len(histories), self.n_items))
        return torch.from_numpy(x.toarray()).to(self.device) @ self.weights


def _refuse_too_many(n_items: int, bytes_a_pair: int, when: str) -> None:
    """Raise ValueError before the memory is asked for: a system may grant it and end the process later."""
    needed, there = bytes_a_pair * n_items**2, total_memory()
    if there is not None and needed > there:
        raise ValueError(f"EASE of {n_items:,} items needs {needed / 1e9:,.0f} GB{when} and this machine has "
                         f"{there / 1e9:,.0f} GB: drop rare items with log.filter(min_item_users=...), or "
                         "take a model that grows with the items and not with their pairs, such as MVAE")
