"""SASRec (Kang & McAuley 2018, https://arxiv.org/abs/1808.09781) as a rival for SVAE.

A transformer reads the last ``length`` items, each position attending to itself and those before. As
in SVAE, a softmax over the whole catalogue predicts the next ``targets`` items; the original's sampled
binary loss is weaker (Petrov & Macdonald 2023, https://arxiv.org/abs/2308.07192).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import nn

from vaerec.batches import Bags, following, padded
from vaerec.kernels import linear_multinomial
from vaerec.models.base import TopNRecommender
from vaerec.recipes import Recipe


class SASRec(TopNRecommender):
    """Blocks with normalisation first, learned positions, and the embedding as last layer too."""

    reads_in_order = True
    recipe: ClassVar = Recipe(batch_size=16, lr=1e-3, steps=0, epochs=(20, 20), lr_schedule="cosine")
    recipe_of_other_batches: ClassVar = recipe

    def __init__(self, n_items: int, width: int = 128, n_blocks: int = 2, n_heads: int = 2,
                 dropout: float = 0.2, targets: int = 1, length: int = 200):
        super().__init__(n_items)
        self.targets, self.length = targets, length
        self.embedding = nn.Embedding(n_items, width)
        self.position = nn.Embedding(length, width)
        self.bias = nn.Parameter(torch.zeros(n_items))
        self.dropout = nn.Dropout(dropout)
        block = nn.TransformerEncoderLayer(width, n_heads, 4 * width, dropout, batch_first=True,
                                           norm_first=True)
        self.blocks = nn.TransformerEncoder(block, n_blocks, nn.LayerNorm(width), enable_nested_tensor=False)
        self.register_buffer("future", torch.ones(length, length, dtype=torch.bool).triu(1), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Normal embeddings of scale .02 and Xavier weights."""
        for table in (self.embedding, self.position):
            nn.init.normal_(table.weight, std=0.02)
        nn.init.zeros_(self.bias)
        for name, weights in self.blocks.named_parameters():
            if weights.dim() > 1:
                nn.init.xavier_uniform_(weights)
            else:
                nn.init.constant_(weights, float("norm" in name and name.endswith("weight")))

    def read(self, items: torch.Tensor) -> torch.Tensor:
        """Items [B, T] -> what is known after each, [B, T, width]. Padding must be on the right."""
        n = items.shape[1]
        x = self.embedding(items) * self.embedding.embedding_dim**0.5
        x = self.dropout(x + self.position.weight[:n])
        return self.blocks(x, mask=self.future[:n, :n])

    def loss(self, bags: Bags, progress: float):
        """Cross-entropy a target in nats, mean over steps. Long histories are cut into pieces."""
        targets = following(bags, self.targets)
        inputs, valid = padded(_pieces(bags, self.length), drop_last=True)
        hidden = self.read(inputs)[valid]  # [N, width]
        each = torch.full_like(hidden[:, 0], 1 / (self.targets * max(1, len(hidden))))
        loss = -linear_multinomial(hidden, self.embedding.weight, self.bias, targets, each)
        return loss, {"distortion": loss.detach()}

    def score_batch(self, histories, users=None):
        """Logits [B, I] after the last item."""
        bags = Bags.from_histories([history[-self.length:] for history in histories], self.device)
        last = (bags.lengths() - 1).clamp(min=0)
        hidden = self.read(padded(bags)[0])[torch.arange(len(histories), device=self.device), last]
        return nn.functional.linear(hidden, self.embedding.weight, self.bias)


def _pieces(bags: Bags, length: int) -> Bags:
    """Each history as pieces of ``length`` inputs; a piece begins with the last target before it."""
    parts = []
    for start, stop in zip(bags.offsets[:-1].tolist(), bags.offsets[1:].tolist(), strict=True):
        for first in range(start, max(stop - 1, start + 1), length):
            parts.append(bags.items[first:min(first + length + 1, stop)])
    offsets = np.cumsum([0, *map(len, parts)])
    return Bags(torch.cat(parts), torch.from_numpy(offsets).to(bags.offsets.device))
