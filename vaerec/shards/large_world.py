"""A large synthetic world: clusters of taste, drawn shard by shard, so that it may be larger than memory.

The world of `vaerec.datasets.synthetic` asks every film at every step, which takes a time of users x items
x steps. Here items are dealt out to clusters, and most of what a user consumes comes from two of them,
first from one and then from the other. A draw is a search in a table of cumulated popularity.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import torch

from vaerec.batches import Bags
from vaerec.interactions import describe_items
from vaerec.shards.storage import LANES, PARTS, SHARD, Questions, write_stream
from vaerec.splits import Split

LENGTH_SPREAD, MIN_LENGTH = 0.6, 5  # lengths are lognormal, as in the small world
LOYALTY = 0.7  # share of draws from the user's own clusters; the others are from all items
HEAD = 20  # popularity is 1 / (rank + HEAD)
SPARE = 1.5  # draws an item: some repeat an earlier one
FRACTION = 0.2  # of a held-out user's items, the last, are targets


def make_large_world(folder: str | os.PathLike, *, n_users: int, n_items: int, n_interactions: int,
                     n_clusters: int = 50, n_heldout: int = 1000, n_shards: int | None = None,
                     lanes: int = LANES, seed: int = 0) -> Split:
    """Generate a world and write it as shards; its targets are temporal.

    Memory holds one shard. The same arguments give the same world.

    Parameters
    ----------
    folder : path
        New or empty.
    n_users : int
        Training users.
    n_items : int
        At least 10 a cluster.
    n_interactions : int
        Of training users, about.
    n_clusters : int
        Clusters of items.
    n_heldout : int
        More users for validation, and again for the test.
    n_shards, lanes : int
        As in `write`.
    seed : int

    Raises
    ------
    ValueError
        Too few items a cluster, histories shorter than 5 or longer than a tenth of the catalogue on
        average, or see `write`.
    """
    length = n_interactions / n_users
    if n_items < 10 * n_clusters or not MIN_LENGTH <= length <= n_items / 10:
        raise ValueError(f"n_users={n_users}, n_items={n_items}, n_interactions={n_interactions}, "
                         f"n_clusters={n_clusters}: expected at least 10 items a cluster, and histories of "
                         f"{MIN_LENGTH} to a tenth of the items")
    n_shards = lanes * -(-n_interactions // (lanes * SHARD)) if n_shards is None else n_shards
    seeds = np.random.SeedSequence(seed).spawn(2 + n_shards)
    for_items, for_rest, *for_shards = map(np.random.default_rng, seeds)
    world = _Clusters.draw(n_items, n_clusters, for_items)
    edges = np.linspace(0, n_users, n_shards + 1).astype(int)
    shards = (world.histories(stop - start, length, own)
              for start, stop, own in zip(edges, edges[1:], for_shards, strict=False))
    held_out = {part: _questions(world.histories(n_heldout, length, for_rest), n_users + number * n_heldout)
                for number, part in enumerate(PARTS)}
    return write_stream(folder, shards, items=describe_items(np.arange(1, n_items + 1), None),
                        held_out=held_out, name=f"large world, seed {seed}", targets="temporal",
                        n_shards=n_shards, lanes=lanes)


@dataclass(frozen=True)
class _Clusters:
    """Items in the order of their clusters.

    Attributes
    ----------
    item : int64 array [I]
    mass : float64 array [I]
        Popularity, cumulated along ``item``.
    edge : float64 array [C + 1]
        Cluster c has the mass from ``edge[c]`` to ``edge[c + 1]``.
    """

    item: np.ndarray
    mass: np.ndarray
    edge: np.ndarray

    @classmethod
    def draw(cls, n_items: int, n_clusters: int, generator: np.random.Generator) -> _Clusters:
        popularity = 1 / (generator.permutation(n_items) + HEAD)
        cluster = generator.permutation(n_items) % n_clusters  # as large as each other
        item = np.argsort(cluster, kind="stable")
        mass = np.cumsum(popularity[item])
        last = np.cumsum(np.bincount(cluster)) - 1
        return cls(item, mass, np.concatenate([[0.0], mass[last]]))

    def histories(self, n_users: int, mean_length: float, generator: np.random.Generator) -> Bags:
        """Different items of each user, oldest first."""
        length = mean_length * np.exp(generator.normal(-LENGTH_SPREAD**2 / 2, LENGTH_SPREAD, n_users))
        length = np.clip(length.astype(np.int64), MIN_LENGTH, len(self.item) // 4)
        n_draws = (SPARE * length).astype(np.int64) + MIN_LENGTH
        user = np.repeat(np.arange(n_users), n_draws)  # [D]
        clusters = generator.integers(len(self.edge) - 1, size=(n_users, 2))
        late = _place(n_draws) >= np.repeat(n_draws // 2, n_draws)
        own = clusters[user, late.astype(int)]
        loyal = generator.random(len(user)) < LOYALTY
        low, high = np.where(loyal, self.edge[own], 0), np.where(loyal, self.edge[own + 1], self.edge[-1])
        drawn = np.searchsorted(self.mass, low + (high - low) * generator.random(len(user)), side="right")
        item = self.item[np.minimum(drawn, len(self.item) - 1)]
        first = np.sort(np.unique(user * len(self.item) + item, return_index=True)[1])  # no item twice
        user, item = user[first], item[first]
        kept = _place(np.bincount(user, minlength=n_users)) < length[user]
        offsets = np.concatenate([[0], np.cumsum(np.bincount(user[kept], minlength=n_users))])
        return Bags(torch.from_numpy(item[kept]), torch.from_numpy(offsets))


def _place(count: np.ndarray) -> np.ndarray:
    """0, 1, ... within each group of so many rows."""
    return np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)


def _questions(bags: Bags, first_id: int) -> Questions:
    histories = np.split(bags.items.numpy(), bags.offsets[1:-1].numpy())
    shown = [int((1 - FRACTION) * len(history)) for history in histories]
    return (np.arange(first_id, first_id + bags.n_users),
            [history[:n] for history, n in zip(histories, shown, strict=True)],
            [history[n:] for history, n in zip(histories, shown, strict=True)])
