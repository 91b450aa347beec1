"""Batches of users from shards: the same ones for one process and for several."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from vaerec.batches import Bags, random_seed
from vaerec.shards.storage import Shards

SIMILAR = 64  # users of similar length that stay together where padding costs


class ShardBatches(torch.utils.data.IterableDataset):
    """Each epoch, all users once, in an order that is a function of (seed, epoch).

    Shards are dealt out to lanes, and lane l adds users number ``(t B + l) // lanes`` to
    ``((t + 1) B + l) // lanes - 1`` of its own to batch t of B users: together that is B. A process
    serves every ``n_ranks``-th lane, and reads the shards of these lanes only, so the batches of all
    processes together do not depend on how many there are. A lane shuffles its shards and the users
    of each shard, of which it holds one and the rest of another in memory.

    Parameters
    ----------
    train : Shards
    batch_size : int
        Users a batch, of all processes together.
    seed : int
    in_order : bool
        Put users of similar length into one batch, so that a block of them needs little padding. Without it
        the items of a user come once and in ascending order.
    rank, n_ranks : int
        Number of this process, and how many there are.

    Raises
    ------
    ValueError
        ``n_ranks`` does not divide the lanes.
    FileNotFoundError
        A shard that this process needs is missing.
    """

    def __init__(self, train: Shards, batch_size: int, seed: int, in_order: bool = False,
                 rank: int = 0, n_ranks: int = 1):
        if train.lanes % n_ranks:
            raise ValueError(f"{n_ranks} processes cannot share {train.lanes} lanes of shards: start a "
                             "number of them that divides it, or write the shards with other lanes=")
        self.train, self.batch_size, self.seed, self.in_order = train, batch_size, seed, in_order
        self.rank, self.n_ranks, self.epoch = rank, n_ranks, 0
        self.lanes = range(rank, train.lanes, n_ranks)
        train.refuse_missing(number for lane in self.lanes for number in self._own(lane))

    def __len__(self) -> int:
        users = [sum(self.train.manifest["shards"][number]["users"] for number in self._own(lane))
                 for lane in range(self.train.lanes)]
        return max(-(-(n * self.train.lanes - lane) // self.batch_size) for lane, n in enumerate(users))

    def __iter__(self) -> Iterator[Bags]:
        for parts in zip(*map(self._parts, self.lanes), strict=True):
            yield Bags.concatenate(parts)

    def _own(self, lane: int) -> range:
        """Numbers of a lane's shards."""
        return range(lane, self.train.n_shards, self.train.lanes)

    def _parts(self, lane: int) -> Iterator[Bags]:
        """What a lane adds to each batch."""
        shards = self._shuffled_shards(lane)
        waiting = Bags.concatenate([])
        for t in range(len(self)):
            first, last = ((u * self.batch_size + lane) // self.train.lanes for u in (t, t + 1))
            while waiting.n_users < last - first and (shard := next(shards, None)) is not None:
                waiting = Bags.concatenate([waiting, shard])
            part, waiting = waiting.cut(last - first)
            yield part

    def _shuffled_shards(self, lane: int) -> Iterator[Bags]:
        own = self._own(lane)
        order = torch.randperm(len(own), generator=self._generator(0, lane))
        for place, number in enumerate(order.tolist()):
            bags = self.train.bags(own[number])
            bags = bags if self.in_order else bags.once()
            yield bags.select(self._users(bags, lane, place))

    def _users(self, bags: Bags, lane: int, place: int) -> torch.Tensor:
        """The users of a lane's ``place``-th shard in their order."""
        own = self._generator(1, place, lane)
        if not self.in_order:
            return torch.randperm(bags.n_users, generator=own)
        # A length is changed by up to 5 % first: the same users do not meet in every epoch.
        blur = 0.95 + 0.1 * torch.rand(bags.n_users, generator=own)
        groups = (bags.lengths() * blur).argsort().split(SIMILAR)
        # All lanes take short and long groups in the same order, so that they meet in one batch.
        order = torch.randperm(len(groups), generator=self._generator(2, place))
        return torch.cat([groups[group] for group in order])

    def _generator(self, *place: int) -> torch.Generator:
        return torch.Generator().manual_seed(random_seed(self.seed, 0, self.epoch, *place))
