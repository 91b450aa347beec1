"""What every recommender here can do: score, mask, recommend."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from vaerec import recipes
from vaerec.interactions import catalogue_fingerprint
from vaerec.models import storage
from vaerec.protocols import Split
from vaerec.recipes import Recipe

AT_ONCE = 500  # histories that `recommend` scores at once: its memory is theirs times the catalogue
Histories = Sequence[np.ndarray]
"""B int64 arrays of dense item ids, oldest first."""


class TopNRecommender(nn.Module):
    """Ranks the catalogue for a user who is known by a history alone.

    A subclass writes `score_batch`. Models that learn by gradients also write `reset_parameters`
    and `loss`; the others write `fit_closed_form`.

    Parameters
    ----------
    n_items : int
        Size of the catalogue, I.

    Attributes
    ----------
    catalogue : str or None
        Fingerprint of the raw item ids that the model was fitted on, kept by `save`. Dense ids mean
        nothing without them, so `recommend` and `vaerec.evaluate` refuse those of another catalogue.
    """

    needs_users = False  # only the Oracle must know who asks
    reads_in_order = False  # the order of a history matters in training
    recipe: ClassVar[Recipe] = recipes.AUTOENCODERS
    """What `vaerec.fit` takes where it is not told otherwise."""
    recipe_of_other_batches: ClassVar[Recipe] = recipes.LIANG_2018
    """Whose lr, weight_decay and lr_schedule `vaerec.fit` takes where it is given a batch size."""

    def __init__(self, n_items: int):
        super().__init__()
        if n_items < 1:
            raise ValueError(f"n_items={n_items}: a catalogue has at least one item")
        self.n_items = int(n_items)
        self.catalogue: str | None = None
        # log of the training counts: the answer for an empty history
        self.register_buffer("log_popularity", torch.zeros(n_items))

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return self.log_popularity.device

    def hyper_parameters(self) -> dict:
        """What ``type(self)(**...)`` needs to make this model again, as JSON can hold it."""
        return {"n_items": self.n_items}

    @classmethod
    def from_hyper_parameters(cls, hyper_parameters: dict) -> Self:
        """The inverse of `hyper_parameters`."""
        return cls(**hyper_parameters)

    def save(self, path: str | os.PathLike) -> None:
        """Write the model to one safetensors file that `load` reads."""
        storage.write(path, type(self).__name__, self.hyper_parameters(), self._weights(), self.catalogue)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Read a model that `save` wrote.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ValueError
            Truncated, changed since it was written, or a file of another model.
        """
        hyper_parameters, weights, catalogue = storage.read(path, cls.__name__)
        model = cls.from_hyper_parameters(hyper_parameters)
        model.catalogue = catalogue
        if weights.keys() != model._weights().keys():
            raise ValueError(f"{path} names other weights than {cls.__name__} has now: it was written by "
                             "another version of vaerec")
        model.load_state_dict(weights, strict=False)  # a tensor with two names is in the file once
        return model

    def _weights(self) -> dict[str, Tensor]:
        """Parameters and buffers, each once: tied layers share a tensor."""
        return {name: tensor.detach() for name, tensor in (*self.named_parameters(), *self.named_buffers())}

    def remember_popularity(self, split: Split) -> None:
        """Keep the catalogue of ``split`` and its training counts, which answer an empty history."""
        if split.n_items != self.n_items:
            raise ValueError(f"the model has n_items={self.n_items}, the split {split.n_items}: "
                             "make the model with n_items=split.n_items")
        self.catalogue = split.catalogue
        counts = torch.from_numpy(split.test.item_counts)
        self.log_popularity.copy_(counts.to(self.log_popularity.dtype).log())

    def fit_closed_form(self, split: Split) -> None:
        """Learn from ``split.train`` without gradients."""
        raise NotImplementedError(f"{type(self).__name__} learns by gradients")

    def score_batch(self, histories: Histories, users: Sequence | None = None) -> Tensor:
        """Raw scores [B, I] of valid histories. What a subclass writes."""
        raise NotImplementedError

    @torch.no_grad()
    def scores(self, histories: Histories, users: Sequence | None = None) -> Tensor:
        """Score the whole catalogue for each user, higher is better, seen items included.

        Parameters
        ----------
        histories : list of B int64 arrays
            Dense items, oldest first. An empty one gets popularity.
        users : sequence of B raw user ids, optional
            Asked for by the `Oracle` alone.

        Returns
        -------
        Tensor [B, n_items]

        Raises
        ------
        ValueError
            An item outside [0, n_items), or ``users`` missing where it is needed.
        """
        histories = [np.asarray(history, dtype=np.int64) for history in histories]
        self._check(histories, users)
        self.eval()
        scores = self.score_batch(histories, users)
        empty = torch.tensor([len(history) == 0 for history in histories], device=scores.device)
        if empty.any() and not self.needs_users:
            scores[empty] = self.log_popularity.to(scores.dtype)
        return scores

    def recommend(self, histories: Sequence[Sequence], k: int = 10, *, item_ids: np.ndarray,
                  on_unknown: str = "raise", users: Sequence | None = None) -> pd.DataFrame:
        """The k best unseen items for each history of raw ids.

        Parameters
        ----------
        histories : list of B lists
            Raw item ids, oldest first.
        k : int
            Length of the list.
        item_ids : array [n_items]
            Dense -> raw id: ``split.item_ids``.
        on_unknown : {"raise", "skip"}
            What to do with a raw id that is not in ``item_ids``.
        users : sequence of B raw user ids, optional
            Asked for by the `Oracle` alone.

        Returns
        -------
        DataFrame
            One row per recommendation: user (the place in ``histories``), rank from 1, item
            (raw id), score. A user who has seen nearly everything gets fewer than k rows.

        Raises
        ------
        ValueError
            Unknown id, k larger than the catalogue, or ``item_ids`` of another catalogue.
        """
        if len(item_ids) != self.n_items:
            raise ValueError(f"item_ids holds {len(item_ids)} ids, the model knows {self.n_items} items: "
                             "pass split.item_ids of the split that it was made for")
        self.refuse_other_catalogue(catalogue_fingerprint(item_ids))
        if not 1 <= k <= self.n_items:
            raise ValueError(f"k={k}: the catalogue has {self.n_items} items")
        dense = [_to_dense(history, item_ids, on_unknown) for history in histories]
        values, indices = [np.empty(0, np.float32)], [np.empty(0, np.int64)]
        for start in range(0, len(dense), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            scores = self.scores(dense[part], users[part] if users is not None else None)
            best = mask_seen(scores, dense[part]).topk(k, dim=1)  # values, indices [B, k]
            values.append(best.values.cpu().numpy().ravel())
            indices.append(best.indices.cpu().numpy().ravel())
        frame = pd.DataFrame({
            "user": np.repeat(np.arange(len(dense)), k),
            "rank": np.tile(np.arange(1, k + 1), len(dense)),
            "item": np.asarray(item_ids)[np.concatenate(indices)],
            "score": np.concatenate(values),
        })
        return frame[frame["score"] > -np.inf].reset_index(drop=True)

    def refuse_other_catalogue(self, catalogue: str | None) -> None:
        """Raise ValueError if the model was fitted on another catalogue; pass where one is not known."""
        if self.catalogue and catalogue and self.catalogue != catalogue:
            raise ValueError(
                f"this {type(self).__name__} was fitted on another catalogue (fingerprint {self.catalogue}, "
                f"here {catalogue}): as many items, but other raw ids or another order. Take the split that "
                "it was fitted on, or fit a new model on this one")

    def _check(self, histories: list[np.ndarray], users: Sequence | None) -> None:
        if self.needs_users and (users is None or len(users) != len(histories)):
            raise ValueError(f"{type(self).__name__} needs users=, one raw user id per history")
        flat = np.concatenate([*histories, np.empty(0, np.int64)])
        outside = (flat < 0) | (flat >= self.n_items)
        if outside.any():
            raise ValueError(f"item {flat[outside.argmax()]} is not in [0, {self.n_items}): histories "
                             "hold the dense ids of the split that the model was made for")


def mask_seen(scores: Tensor, histories: Histories) -> Tensor:
    """Scores [B, I] with -inf where the user has consumed the item already.

    The one place where seen items are masked, for `recommend` and for `evaluate`.
    """
    rows = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
    columns = np.concatenate([*histories, np.empty(0, np.int64)])
    masked = scores.clone()
    masked[torch.from_numpy(rows), torch.from_numpy(columns)] = -torch.inf
    return masked


def _to_dense(history: Sequence, item_ids: np.ndarray, on_unknown: str) -> np.ndarray:
    if on_unknown not in ("raise", "skip"):
        raise ValueError(f"on_unknown={on_unknown!r}: expected 'raise' or 'skip'")
    dense = pd.Index(item_ids).get_indexer(list(history)).astype(np.int64)
    if on_unknown == "raise" and (dense < 0).any():
        raise ValueError(f"item {list(history)[int((dense < 0).argmax())]} is not in the catalogue; "
                         "on_unknown='skip' ignores such items")
    return dense[dense >= 0]
