"""Ragged batches: the items of several users in one flat tensor."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vaerec.interactions import Interactions


class Bags(NamedTuple):
    """The items of B users, N in all, one user after another.

    Attributes
    ----------
    items : int64 Tensor [N]
    offsets : int64 Tensor [B + 1]
        User b owns ``items[offsets[b]:offsets[b + 1]]``.
    """

    items: Tensor
    offsets: Tensor

    @classmethod
    def from_histories(cls, histories: list[np.ndarray], device: torch.device) -> Bags:
        """Concatenate B int64 arrays."""
        offsets = np.cumsum([0, *map(len, histories)])
        items = np.concatenate([*histories, np.empty(0, np.int64)])
        return cls(torch.from_numpy(items).to(device), torch.from_numpy(offsets).to(device))

    @classmethod
    def concatenate(cls, parts: Sequence[Bags]) -> Bags:
        """The users of several bags, one after another."""
        lengths = torch.cat([torch.zeros(1, dtype=torch.int64), *(part.lengths() for part in parts)])
        items = [torch.zeros(0, dtype=torch.int64), *(part.items for part in parts)]
        return cls(torch.cat(items), lengths.cumsum(0))

    @property
    def n_users(self) -> int:
        """B."""
        return len(self.offsets) - 1

    def lengths(self) -> Tensor:
        """Items per user, [B]."""
        return self.offsets.diff()

    def user(self) -> Tensor:
        """The user, 0 to B - 1, of each item, [N]."""
        rows = torch.arange(self.n_users, device=self.offsets.device)
        return rows.repeat_interleave(self.lengths(), output_size=len(self.items))

    def once(self) -> Bags:
        """Each user's items once, in ascending order: what a model of bags reads, whatever the order was."""
        width = int(self.items.max()) + 1 if len(self.items) else 1
        pair = torch.unique(self.user() * width + self.items)  # ascending
        users = torch.arange(self.n_users + 1, device=pair.device)
        return Bags(pair % width, torch.searchsorted(pair // width, users))

    def select(self, users: Tensor) -> Bags:
        """The bags of some users, in the order given: gathers N' items, copies nothing else."""
        lengths = self.lengths()[users]
        offsets = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
        shift = self.offsets[users] - offsets[:-1]
        place = torch.arange(int(offsets[-1]), device=self.items.device)
        return Bags(self.items[place + shift.repeat_interleave(lengths)], offsets)

    def cut(self, n: int) -> tuple[Bags, Bags]:
        """The first n users, or all if there are fewer, and the others; nothing is copied."""
        first = self.offsets[:n + 1]
        stop = int(first[-1])
        return Bags(self.items[:stop], first), Bags(self.items[stop:], self.offsets[len(first) - 1:] - stop)

    def split(self, size: int) -> Iterator[Bags]:
        """The users in parts of ``size``, the last one smaller; nothing is copied."""
        ends = self.offsets[::size].tolist()
        ends = ends if self.n_users % size == 0 else [*ends, len(self.items)]
        for first, (start, stop) in enumerate(itertools.pairwise(ends)):
            offsets = self.offsets[first * size:(first + 1) * size + 1]
            yield Bags(self.items[start:stop], offsets - start)

    def to(self, device: torch.device) -> Bags:
        """The same bags on another device."""
        return Bags(self.items.to(device), self.offsets.to(device))


def padded(bags: Bags, drop_last: bool = False) -> tuple[Tensor, Tensor]:
    """Histories as a block of int64 [B, T], item 0 where there is none, and a mask of real steps.

    Parameters
    ----------
    bags : Bags
    drop_last : bool
        Leave out the last item of each history: nothing follows it.
    """
    length = (bags.lengths() - int(drop_last)).clamp(min=0)
    # At least one step, of padding: a recurrent layer refuses to read nothing.
    step = torch.arange(max(1, int(length.max())), device=bags.items.device)
    valid = step < length[:, None]  # [B, T]
    items = bags.items.new_zeros(valid.shape)
    items[valid] = bags.items[_followed(bags)] if drop_last else bags.items
    return items, valid


def following(bags: Bags, n: int | str) -> Bags:
    """The next ``n`` items, or "all", after each item that is followed by any, one user after another.

    Near the end of a history there are fewer.
    """
    ends = bags.offsets[1:].repeat_interleave((bags.lengths() - 1).clamp(min=0))  # [N] of the own history
    place = _followed(bags)  # [N]
    count = ends - place - 1
    count = count if n == "all" else count.clamp(max=n)
    offsets = torch.nn.functional.pad(count.cumsum(0), (1, 0))
    within = torch.arange(int(offsets[-1]), device=count.device) - offsets[:-1].repeat_interleave(count)
    return Bags(bags.items[place.repeat_interleave(count) + 1 + within], offsets)


def _followed(bags: Bags) -> Tensor:
    """Where the items that have a successor stand in ``bags.items``, [N]."""
    keep = torch.ones(len(bags.items), dtype=torch.bool, device=bags.items.device)
    keep[bags.offsets[1:][bags.lengths() > 0] - 1] = False
    return keep.nonzero().squeeze(1)


def random_seed(seed: int, *place: int) -> int:
    """A seed for one use of chance: streams of different places in a run have nothing in common."""
    return int(np.random.SeedSequence(seed, spawn_key=place).generate_state(1)[0])


class UserBatches(torch.utils.data.IterableDataset):
    """Each epoch, all users once, in an order that is a function of (seed, epoch).

    Parameters
    ----------
    train : Interactions
    batch_size : int
        Users a batch.
    seed : int
    in_order : bool
        Histories oldest first, and users of similar length in one batch, so that a block of them
        needs little padding. Without it the items of a user come once and in ascending order.
    rank, n_ranks : int
        Of several processes that share each batch, this one gets every ``n_ranks``-th of its users.
    """

    def __init__(self, train: Interactions, batch_size: int, seed: int, in_order: bool = False,
                 rank: int = 0, n_ranks: int = 1):
        if in_order:
            self.bags = Bags.from_histories(train.sequences(), torch.device("cpu"))
        else:
            csr = train.to_csr()
            self.bags = Bags(torch.from_numpy(csr.indices.astype(np.int64)),
                             torch.from_numpy(csr.indptr.astype(np.int64)))
        self.batch_size, self.seed, self.in_order, self.epoch = batch_size, seed, in_order, 0
        self.rank, self.n_ranks = rank, n_ranks

    def __len__(self) -> int:
        return -(-self.bags.n_users // self.batch_size)

    def __iter__(self):
        generator = torch.Generator().manual_seed(random_seed(self.seed, 0, self.epoch))
        for users in self._parts(generator):
            yield self.bags.select(users[self.rank::self.n_ranks])

    def _parts(self, generator: torch.Generator) -> list[Tensor]:
        """The users of each batch."""
        if not self.in_order:
            return list(torch.randperm(self.bags.n_users, generator=generator).split(self.batch_size))
        # A length is changed by up to 5 % first: the same users do not meet in every epoch.
        blur = 0.95 + 0.1 * torch.rand(self.bags.n_users, generator=generator)
        parts = (self.bags.lengths() * blur).argsort().split(self.batch_size)
        return [parts[i] for i in torch.randperm(len(parts), generator=generator)]
