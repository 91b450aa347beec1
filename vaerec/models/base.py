"""What every recommender here can do: score, mask, recommend."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from vaerec import recipes
from vaerec.checks import check_whole
from vaerec.interactions import catalogue_fingerprint
from vaerec.models import items, storage
from vaerec.models.arguments import check_k, constructor_arguments
from vaerec.ranking import best
from vaerec.recipes import Recipe
from vaerec.splits import Split

CELLS = 2**24  # users times items that are scored at once: 64 MB, a few times over
Histories = Sequence[np.ndarray]
"""B int64 arrays of dense item ids, oldest first."""


class TopNRecommender(nn.Module):
    """Ranks the catalogue for a user who is known by a history alone.

    A subclass writes `score_batch`. Models that learn by gradients also write `reset_parameters`
    and `loss`; the others write `fit_closed_form`.

    An item that stands in a history more than once is read once, at its latest place, whatever the door:
    training, `scores`, `recommend`, `vaerec.evaluate` and exported files. Models with ``reads_in_order`` read
    it as often as it stands there.

    Parameters
    ----------
    n_items : int
        Size of the catalogue, I.

    Attributes
    ----------
    catalogue : str or None
        Fingerprint of the raw item ids that the model was fitted on, kept by `save`. Dense ids mean
        nothing without them, so `recommend` and `vaerec.evaluate` refuse those of another catalogue.
    item_ids : array [n_items] or None
        These raw ids, kept by `save`; files of version 0.1.0 lack them.
    """

    needs_users = False  # only the Oracle must know who asks
    reads_in_order = False  # the order of a history matters in training, and so do repeated items
    recipe: ClassVar[Recipe] = recipes.AUTOENCODERS
    """What `vaerec.fit` takes where it is not told otherwise."""
    recipe_of_other_batches: ClassVar[Recipe] = recipes.LIANG_2018
    """Whose lr, weight_decay and lr_schedule `vaerec.fit` takes where it is given a batch size."""

    def __new__(cls, *args, **kwargs):
        """Note what the constructor is given, which no subclass then has to list again."""
        model = super().__new__(cls)
        model.__dict__["_given"] = (args, kwargs)
        return model

    def __init__(self, n_items: int):
        super().__init__()
        check_whole(n_items=n_items)
        self.n_items = int(n_items)
        self.catalogue: str | None = None
        self.item_ids: np.ndarray | None = None
        # log of the training counts: the answer for an empty history
        self.register_buffer("log_popularity", torch.zeros(n_items))

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return self.log_popularity.device

    def hyper_parameters(self) -> dict:
        """What ``type(self)(**...)`` needs to make this model again, as JSON can hold it.

        Found by the constructor's signature, so a subclass with an argument of its own has nothing to add.

        Raises
        ------
        ValueError
            An argument that is not a number, a text, a schedule of `vaerec.elbo` or a list of such.
        """
        return constructor_arguments(self, *self.__dict__["_given"])

    @classmethod
    def from_hyper_parameters(cls, hyper_parameters: dict) -> Self:
        """The inverse of `hyper_parameters`."""
        return cls(**hyper_parameters)

    def save(self, path: str | os.PathLike) -> None:
        """Write the model to one safetensors file that `load` reads, with the raw ids of its items.

        Ids that are neither numbers nor texts are left out with a warning.
        """
        try:
            ids = items.to_tensors(self.item_ids)
        except TypeError as error:
            warnings.warn(f"{path} is written without the ids of the items ({error}): keep them and pass "
                          "item_ids= to recommend", stacklevel=2)
            ids = {}
        storage.write(path, type(self).__name__, self.hyper_parameters(), self._weights() | ids,
                      self.catalogue)

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
        model.catalogue, model.item_ids = catalogue, items.take_from(weights)
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
        if not isinstance(split, Split):
            raise TypeError(f"fit got {split!r}, expected a Split: make one by a protocol, such as "
                            "vr.protocols.LIANG_2018(log)")
        if self.reads_in_order and len(split.train) <= split.train.n_users:
            raise ValueError(f"{type(self).__name__} learns what follows an item, and no training user has "
                             "two: keep those who have, log.filter(min_user_items=2)")
        if split.n_items != self.n_items:
            raise ValueError(f"the model has n_items={self.n_items}, the split {split.n_items}: "
                             "make the model with n_items=split.n_items")
        self.catalogue, self.item_ids = split.catalogue, split.item_ids
        counts = torch.from_numpy(split.test.item_counts)
        self.log_popularity.copy_(counts.to(self.log_popularity.dtype).log())

    def reset_parameters(self) -> None:
        """Draw all weights anew, so that the same seed gives the same model. What a subclass writes."""
        raise NotImplementedError(f"{type(self).__name__} has no reset_parameters(): write one that draws "
                                  "all its weights anew, so that the same seed gives the same model")

    def fit_closed_form(self, split: Split) -> None:
        """Learn from ``split.train`` without gradients. What a subclass without ``loss`` writes."""
        raise NotImplementedError(
            f"{type(self).__name__} cannot be fitted: write loss(bags, progress) and reset_parameters(), to "
            "learn by gradients, or fit_closed_form(split); where there is nothing to learn, "
            "`def fit_closed_form(self, split): pass`")

    def score_batch(self, histories: Histories, users: Sequence | None = None) -> Tensor:
        """Raw scores [B, I] of valid histories. What a subclass writes."""
        raise NotImplementedError(f"{type(self).__name__} cannot score: write score_batch(histories, "
                                  "users=None), which returns a Tensor [B, n_items] for B histories")

    @torch.no_grad()
    def scores(self, histories: Histories, users: Sequence | None = None) -> Tensor:
        """Score the whole catalogue for each user, higher is better, seen items included.

        Parameters
        ----------
        histories : list of B int64 arrays
            Dense items, oldest first. An empty one gets popularity. An item that comes twice is read once,
            at its latest place, unless the model has ``reads_in_order``.
        users : sequence of B raw user ids, optional
            Asked for by the `Oracle` alone.

        Returns
        -------
        Tensor [B, n_items]

        Raises
        ------
        ValueError
            An item outside [0, n_items), what is no list of items at all, ``users`` missing where it is
            needed, or scores of a subclass that are no Tensor [B, n_items].
        """
        histories = [_dense(history) for history in histories]
        self._check(histories, users)
        histories = histories if self.reads_in_order else latest(histories)
        self.eval()
        scores = self._checked(self.score_batch(histories, users), len(histories))
        empty = torch.tensor([len(history) == 0 for history in histories], device=scores.device)
        if empty.any() and not self.needs_users:
            # A new tensor: the subclass may have returned one of its own.
            scores = torch.where(empty[:, None], self.log_popularity.to(scores.dtype), scores)
        return scores

    def recommend(self, histories: Sequence[Sequence], k: int = 10, *, item_ids: np.ndarray | None = None,
                  on_unknown: str = "raise", users: Sequence | None = None) -> pd.DataFrame:
        """The k best unseen items for each history of raw ids.

        Parameters
        ----------
        histories : list of B lists
            Raw item ids, oldest first. An id is compared as the catalogue's type: "101" finds 101. One that
            comes twice is read once, at its latest place, unless the model has ``reads_in_order``.
        k : int
            Length of the list.
        item_ids : array [n_items], optional
            Dense -> raw id, ``split.item_ids``. Needed where the model does not know its own: without a fit,
            or from a file of version 0.1.0.
        on_unknown : {"raise", "skip"}
            What to do with a raw id that is not in the catalogue. A history that holds no other warns and
            gets popularity, as does an empty one.
        users : sequence of B raw user ids, optional
            Asked for by the `Oracle` alone.

        Returns
        -------
        DataFrame
            One row per recommendation: user (the place in ``histories``), rank from 1, item
            (raw id), score. A user who has seen nearly everything gets fewer than k rows. Equal scores
            stand in an order that is fixed for the catalogue's size.

        Raises
        ------
        ValueError
            Unknown id, what is no list of histories, k larger than the catalogue, ``item_ids`` of another
            catalogue, or none where the model does not know its own, or a score that is not a number.
        """
        check_k(k, self.n_items)
        finder = self._finder(item_ids)
        dense = finder.to_dense(items.as_lists(histories, self.reads_in_order), on_unknown)
        self._warn_of_nothing_known(dense)
        values, indices = [np.empty(0, np.float32)], [np.empty(0, np.int64)]
        size = users_at_once(self.n_items)
        for start in range(0, len(dense), size):
            part = slice(start, start + size)
            scores = self.scores(dense[part], users[part] if users is not None else None)
            self.refuse_non_finite(scores, range(start, start + size))
            top, chosen = best(mask_seen(scores, dense[part]), k)  # each [B, k]
            values.append(top.cpu().numpy().ravel())
            indices.append(chosen.cpu().numpy().ravel())
        frame = pd.DataFrame({
            "user": np.repeat(np.arange(len(dense)), k),
            "rank": np.tile(np.arange(1, k + 1), len(dense)),
            "item": finder.ids[np.concatenate(indices)],
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

    def refuse_non_finite(self, scores: Tensor, names: Sequence) -> None:
        """Raise ValueError if a score [B, I] is infinite or not a number; ``names`` are those of B users."""
        low, high = scores.aminmax(dim=1)  # what is not a number is both; reads the scores once
        bad = ~(low.isfinite() & high.isfinite())
        if bad.any():
            user = names[int(bad.int().argmax())]
            raise ValueError(f"{type(self).__name__} gives user {user} a score that is not finite: the "
                             "training has diverged, or the model is not fitted")

    def _finder(self, item_ids: np.ndarray | None) -> items.Finder:
        """What finds raw ids among ``item_ids``, or among the model's own."""
        if item_ids is not None:
            if len(item_ids) != self.n_items:
                raise ValueError(f"item_ids holds {len(item_ids)} ids, the model knows {self.n_items} items: "
                                 "pass split.item_ids of the split that it was made for")
            self.refuse_other_catalogue(catalogue_fingerprint(item_ids))
            if self.catalogue and self.item_ids is not None:
                item_ids = self.item_ids  # the same, and known already
        elif self.item_ids is None:
            raise ValueError(f"this {type(self).__name__} does not know the raw ids of its items, because it "
                             "was not fitted, or saved by version 0.1.0: pass item_ids=split.item_ids")
        else:
            item_ids = self.item_ids
        known = self.__dict__.get("_found")  # a server asks many times
        if known is None or known.ids is not item_ids:
            known = self.__dict__["_found"] = items.Finder(item_ids)
        return known

    def _warn_of_nothing_known(self, dense: Histories) -> None:
        nothing = [place for place, history in enumerate(dense) if not len(history)]
        if nothing and not self.needs_users:
            warnings.warn(f"{len(nothing)} of {len(dense)} histories hold no item that the model knows, the "
                          f"first is histories[{nothing[0]}]: they get the most popular items", stacklevel=3)

    def _checked(self, scores: Tensor, n_users: int) -> Tensor:
        """What a subclass's `score_batch` returned, if it can be ranked."""
        if not isinstance(scores, Tensor) or scores.shape != (n_users, self.n_items) or (
                not scores.is_floating_point()):
            what = (f"{tuple(scores.shape)} of {scores.dtype}" if isinstance(scores, Tensor)
                    else type(scores).__name__)
            raise ValueError(f"score_batch of {type(self).__name__} returned {what}: expected a Tensor of "
                             f"floating-point numbers, [B, n_items] = {(n_users, self.n_items)}")
        return scores

    def _check(self, histories: list[np.ndarray], users: Sequence | None) -> None:
        if self.needs_users and (users is None or len(users) != len(histories)):
            raise ValueError(f"{type(self).__name__} needs users=, one raw user id per history")
        flat = np.concatenate([*histories, np.empty(0, np.int64)])
        outside = (flat < 0) | (flat >= self.n_items)
        if outside.any():
            raise ValueError(f"item {flat[outside.argmax()]} is not in [0, {self.n_items}): histories "
                             "hold the dense ids of the split that the model was made for")


def users_at_once(n_items: int) -> int:
    """How many users are scored at once where nobody says it: fewer for a large catalogue, at most 500."""
    return max(1, min(500, CELLS // n_items))


def mask_seen(scores: Tensor, histories: Histories) -> Tensor:
    """Scores [B, I] with -inf where the user has consumed the item already.

    The one place where seen items are masked, for `recommend` and for `evaluate`.
    """
    rows = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
    columns = np.concatenate([*histories, np.empty(0, np.int64)])
    masked = scores.clone()
    masked[torch.from_numpy(rows), torch.from_numpy(columns)] = -torch.inf
    return masked


def latest(histories: Histories) -> Histories:
    """Each item of a history once, where it stands last."""
    lengths = np.array([len(history) for history in histories], dtype=np.int64)
    flat = np.concatenate([*histories, np.empty(0, np.int64)])
    user = np.repeat(np.arange(len(histories)), lengths)
    pair = user * (flat.max(initial=0) + 1) + flat  # one number a (user, item)
    ascending = np.sort(pair)
    if not (ascending[1:] == ascending[:-1]).any():
        return histories
    _, place = np.unique(pair[::-1], return_index=True)
    place = np.sort(len(flat) - 1 - place)
    return np.split(flat[place], np.bincount(user[place], minlength=len(histories)).cumsum()[:-1])


def _dense(history: Sequence) -> np.ndarray:
    """One history of dense items as an int64 array [N]."""
    array = np.asarray(history)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(f"a history is {items.shown(history)}: expected a list of dense items, whole "
                         "numbers from 0; recommend takes raw ids")
    return array.astype(np.int64, copy=False)
