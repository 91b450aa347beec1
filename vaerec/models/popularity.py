"""Rankers that are not personal: the two baselines that every number stands on."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor

from vaerec.models.base import Histories, TopNRecommender
from vaerec.splits import Split


class Popularity(TopNRecommender):
    """The same list for everyone: items by their number of training users."""

    def fit_closed_form(self, split: Split) -> None:
        """Nothing to learn beyond the counts that every model keeps."""

    def score_batch(self, histories: Histories, users=None) -> Tensor:
        """Log-counts, [B, I]."""
        return self.log_popularity.repeat(len(histories), 1)


class Random(TopNRecommender):
    """A random order: the floor. The same seed and histories give the same scores."""

    def __init__(self, n_items: int, seed: int = 0):
        super().__init__(n_items)
        self.seed = seed

    def fit_closed_form(self, split: Split) -> None:
        """Nothing to learn."""

    def score_batch(self, histories: Histories, users=None) -> Tensor:
        """Uniform scores, [B, I]."""
        scores = torch.empty(len(histories), self.n_items)
        # One generator a user: the scores must not depend on who else is in the batch.
        for row, history in zip(scores, histories, strict=True):
            seed = zlib.crc32(np.asarray(history).tobytes(), self.seed)
            row.uniform_(generator=torch.Generator().manual_seed(seed))
        return scores.to(self.device)
