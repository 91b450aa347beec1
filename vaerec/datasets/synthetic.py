"""The synthetic world: the book's generative model, run to make a log whose truth is known.

A user's taste is a point z in R^L, drawn from N(0, I). A linear decoder followed by a softmax over
the films not yet seen turns it into the next choice, and the taste drifts a little after each one:

    z_0 ~ N(0, I)      z_{t+1} = sqrt(1 - drift²) z_t + drift eps,   eps ~ N(0, I)
    P(film i at step t | seen so far) ∝ exp(factor_i · z_t + bias_i)   for i not seen

So at every step the taste is N(0, I) over users, whatever the drift, and what the drift decides is
how fast a history grows old: two tastes k steps apart correlate by (1 - drift²)^(k/2).

Comments name shapes by U users, I items, L latent factors, N interactions, B users of one batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from vaerec.datasets.titles import GENRES, invent_titles
from vaerec.interactions import Interactions

CHARACTERS = {"Ada": 25, "Ben": 6, "Chi": 400}
"""The running characters of the book and how many films each has watched."""

# Ada's taste is written, not drawn: from here to there in a straight line (Comedy, Noir).
ADA_FIRST, ADA_LAST = (2.5, -1.0), (-1.0, 2.5)

# Lengths are lognormal around MovieLens-1M's median (ratings of 4 and more), with a thinner tail
# so that the mean stays near 60. A user sees at most this share of the catalogue.
MEDIAN_LENGTH, LENGTH_SPREAD, MIN_LENGTH, MAX_SHARE = 50, 0.6, 5, 0.4

# The biases of the films are evenly spaced over a range of POPULARITY: a straight line where
# log-popularity is drawn against rank, with the Gini coefficient of MovieLens-1M's counts.
# PERSONALITY is the spread of a film's logit over users: the larger, the more a taste decides.
POPULARITY, PERSONALITY = 8.0, 2.5

BATCH_CELLS = 2**18  # users times items that are handled at once: fits a processor's cache
SHELF = 32  # films that a draw looks at together
FIRST_ITEM_ID = 101  # raw ids that can be taken neither for dense ones nor for user numbers
MEAN_GAP, OPENING, YEAR = 2 * 86_400, 1_420_070_400, 365 * 86_400  # seconds; 1 January 2015


@dataclass(frozen=True, eq=False, repr=False)
class Truth:
    """What generated a log. Interactions stand in time order, one user after another.

    Attributes
    ----------
    user_ids : array [U]; item_ids : array [I]
        Raw ids, ascending.
    genres : tuple of L strings
        The genre that each latent factor stands for.
    item_factors : float64 array [I, L]; item_bias : float64 array [I]
        The decoder: the logits of a taste z are ``item_factors @ z + item_bias``.
    start : int64 array [U + 1]
        User u owns the steps ``start[u]:start[u + 1]`` of the two arrays below.
    item : int64 array [N]
        The item chosen at each step, as an index into ``item_ids``.
    taste : float32 array [N, L]
        The taste that chose it.
    """

    user_ids: np.ndarray
    item_ids: np.ndarray
    genres: tuple[str, ...]
    item_factors: np.ndarray
    item_bias: np.ndarray
    start: np.ndarray
    item: np.ndarray
    taste: np.ndarray

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    def weights(self, taste: np.ndarray) -> np.ndarray:
        """Unnormalised choice probabilities of tastes [B, L], seen items included: [B, I]."""
        return choice_weights(taste, self.item_factors, np.exp(self.item_bias))

    def path(self, user_id: str) -> tuple[np.ndarray, np.ndarray]:
        """Raw item ids [T] and tastes [T, L] of one user's T steps, oldest first."""
        (user,) = self.locate([user_id])
        own = slice(self.start[user], self.start[user + 1])
        return self.item_ids[self.item[own]], self.taste[own]

    def locate(self, user_ids) -> np.ndarray:
        """Place of each raw user id in ``user_ids``, [B].

        Raises
        ------
        ValueError
            A user who does not live in this world.
        """
        place = pd.Index(self.user_ids).get_indexer(list(user_ids))
        if (place < 0).any():
            unknown = list(user_ids)[int((place < 0).argmax())]
            raise ValueError(f"user {unknown!r} is not in this synthetic world: "
                             "ask for raw ids, as in log.user_ids")
        return place


@dataclass(frozen=True, eq=False, repr=False)
class SyntheticInteractions(Interactions):
    """An `Interactions` that remembers how it was made, also after `filter` and `select`."""

    truth: Truth | None = None

    @property
    def origin(self) -> str:
        """Always ``"generated"``: there is no other copy to compare with."""
        return "generated"


def make_world(n_users: int = 3000, n_items: int = 1000, *, n_latent: int = 8, drift: float = 0.25,
              seed: int = 2018) -> SyntheticInteractions:
    """Generate a world of film lovers.

    Users Ada (25 films, drifts from comedy to noir by design), Ben (6) and Chi (400) live in every
    world; small catalogues shorten their histories. All ratings are 5.0, since the data is
    implicit. Rows stand user by user, and within a user in an order that has nothing to do with
    time, as in MovieLens-1M: code that forgets to sort by timestamp gets it visibly wrong.

    The same arguments give the same log on any machine and with any number of threads: only the
    last bits of a float64 could differ, and they hardly ever move a choice. Users are handled in
    batches, so the memory needed is that of the result and a few copies of its columns.

    Parameters
    ----------
    n_users, n_items : int
        At least 3 and 20. All items stay in the catalogue, chosen or not.
    n_latent : int
        Latent factors L, each tied to one genre: 2 to 12.
    drift : float
        Innovation of the taste per step, in [0, 1]: 0 is one taste for ever, 1 a new one each time.
        At the default two tastes 21 steps apart correlate by one half, so that what a user
        watched long ago still says something, and what came last says more.
    seed : int
        Not negative.

    Returns
    -------
    SyntheticInteractions
        With ``truth``, which `vaerec.models.Oracle` needs.

    Raises
    ------
    ValueError
        A parameter out of range.
    """
    _check_whole("n_users", n_users, at_least=len(CHARACTERS))
    _check_whole("n_items", n_items, at_least=20)
    _check_whole("n_latent", n_latent, at_least=2, at_most=len(GENRES))
    _check_whole("seed", seed, at_least=0)
    if not 0 <= drift <= 1:
        raise ValueError(f"drift={drift}: expected a number from 0 (taste never moves) to 1 "
                         "(a new taste at every step)")
    # One stream per purpose: more users or another drift leave the films and their titles alone.
    for_items, for_lengths, for_taste, for_choice, for_time = (
        np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence(seed).spawn(5))
    genres = GENRES[:n_latent]
    factors, bias, items = _films(n_items, genres, for_items)
    lengths = _lengths(n_users, n_items, for_lengths)
    with threadpool_limits(1):  # many small products: threads would cost more than they save
        item, taste = _histories(lengths, factors, bias, drift, for_taste, for_choice)
    truth = Truth(
        user_ids=_user_ids(n_users), item_ids=items["item"].to_numpy(), genres=genres,
        item_factors=factors, item_bias=bias, start=_starts(lengths), item=item, taste=taste,
    )
    return _as_log(truth, items, lengths, for_time)


def choice_weights(taste: np.ndarray, factors: np.ndarray, popularity: np.ndarray) -> np.ndarray:
    """exp(factors · taste) popularity, [B, I], of tastes [B, L]; popularity is [I] or [B, I].

    In float64: the last bits of a float32 would decide some choices, and they differ by machine.
    """
    weight = taste @ factors.T
    np.exp(weight, out=weight)
    weight *= popularity
    return weight


def steps(lengths: np.ndarray) -> Iterator[tuple[int, int]]:
    """(t, n) for each step t: the first n of users sorted longest first have a step t."""
    for t in range(lengths[0] if len(lengths) else 0):
        yield t, int(np.searchsorted(-lengths, -t))


def _films(n_items: int, genres: tuple[str, ...], generator) -> tuple:
    """Factors [I, L], bias [I] and the frame of raw ids, titles and genres."""
    n_latent = len(genres)
    # One to three genres a film: the first strongest, the others of falling strength.
    n_genres = generator.choice([1, 2, 3], p=[0.4, 0.4, 0.2], size=n_items)
    rank = generator.random((n_items, n_latent)).argsort(axis=1).argsort(axis=1)  # [I, L]
    belongs = rank < n_genres[:, None]
    strength = np.where(belongs, generator.uniform(0.6, 1.0, rank.shape) / (1 + 0.5 * rank), 0.0)
    factors = strength + generator.normal(0, 0.05, rank.shape)
    # Equal norms: over tastes N(0, I), only the bias then makes a film popular.
    factors *= PERSONALITY / np.linalg.norm(factors, axis=1, keepdims=True)
    # Evenly spaced, not drawn: the Gini coefficient hardly depends on the seed.
    bias = POPULARITY * generator.permutation(np.linspace(-1, 0, n_items))
    names = np.array(genres, dtype=object)
    items = pd.DataFrame({
        "item": np.arange(FIRST_ITEM_ID, FIRST_ITEM_ID + n_items),
        "title": invent_titles(names[rank.argmin(axis=1)], generator),
        "genres": ["|".join(names[row]) for row in belongs],
    })
    return factors, bias, items


def _lengths(n_users: int, n_items: int, generator) -> np.ndarray:
    """Films watched by each user, [U]; the characters come first."""
    longest = int(MAX_SHARE * n_items)
    lengths = np.rint(generator.lognormal(np.log(MEDIAN_LENGTH), LENGTH_SPREAD, n_users))
    lengths[: len(CHARACTERS)] = list(CHARACTERS.values())
    return lengths.clip(MIN_LENGTH, longest).astype(np.int64)


def _user_ids(n_users: int) -> np.ndarray:
    """List the characters, then user-0004, user-0005, ...: ascending, as raw ids must be."""
    width = max(4, len(str(n_users)))
    others = [f"user-{number:0{width}}" for number in range(len(CHARACTERS) + 1, n_users + 1)]
    return np.array([*CHARACTERS, *others])


def _starts(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)])


def _histories(lengths, factors, bias, drift, for_taste, for_choice) -> tuple:
    """Items [N] and tastes [N, L] of all users, a batch of users at a time."""
    n_items, n_latent = factors.shape
    start = _starts(lengths)
    item = np.empty(start[-1], np.int64)
    taste = np.empty((start[-1], n_latent), np.float32)
    batch_size = max(1, BATCH_CELLS // n_items)
    for first in range(0, len(lengths), batch_size):
        own = lengths[first:first + batch_size]
        rows = slice(start[first], start[first] + own.sum())
        noise = for_taste.standard_normal((own.sum(), n_latent))
        path = _drift(noise, own, drift)
        if first == 0:
            path[:own[0]] = _path_of_ada(path[:own[0]])
        item[rows] = _choose(path, own, factors, bias, for_choice.random(own.sum()))
        taste[rows] = path
    return item, taste


def _drift(noise: np.ndarray, lengths: np.ndarray, drift: float) -> np.ndarray:
    """Tastes [n, L] of B users: an autoregressive walk over each user's rows of N(0, I) noise."""
    order = np.argsort(-lengths, kind="stable")
    start, taste = _starts(lengths)[order], noise.copy()
    for t, n in steps(lengths[order]):
        if t > 0:
            row = start[:n] + t
            taste[row] = np.sqrt(1 - drift**2) * taste[row - 1] + drift * noise[row]
    return taste


def _path_of_ada(taste: np.ndarray) -> np.ndarray:
    """Ada's tastes [T, L]: comedy to noir, and calm in everything else."""
    path = np.zeros_like(taste)
    path[:, :2] = np.linspace(ADA_FIRST, ADA_LAST, len(taste))
    return path


def _choose(taste, lengths, factors, bias, uniform) -> np.ndarray:
    """One item per row of B users' tastes [n, L], never the same twice for a user: [n]."""
    order = np.argsort(-lengths, kind="stable")
    start = _starts(lengths)[order]
    popularity = np.tile(np.exp(bias), (len(lengths), 1))  # [B, I], 0 for films seen
    item = np.empty(len(taste), np.int64)
    for t, n in steps(lengths[order]):
        row = start[:n] + t
        chosen = _draw(choice_weights(taste[row], factors, popularity[:n]), uniform[row])
        popularity[np.arange(n), chosen] = 0
        item[row] = chosen
    return item


def _draw(weight: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Draw a column of each row of weights [n, I] by inverting its cumulative distribution: [n].

    In two stages, first a shelf of neighbouring films and then one film of it: a sum over shelves
    takes a fifth of the time of a cumulative sum over films, which would be half of all the work.
    """
    n_items = weight.shape[1]
    shelf_edge = np.cumsum(np.add.reduceat(weight, np.arange(0, n_items, SHELF), axis=1), axis=1)
    target = uniform * shelf_edge[:, -1]
    shelf = (shelf_edge > target[:, None]).argmax(axis=1)
    each = np.arange(len(weight))
    target -= np.where(shelf > 0, shelf_edge[each, shelf - 1], 0.0)
    film = shelf[:, None] * SHELF + np.arange(SHELF)  # [n, SHELF]
    film = film.clip(max=n_items - 1)  # the last shelf may be shorter
    film_edge = np.cumsum(weight[each[:, None], film], axis=1)
    return film[each, (film_edge > target[:, None]).argmax(axis=1)]


def _as_log(truth: Truth, items: pd.DataFrame, lengths: np.ndarray, generator):
    """Show the log as an observer sees it: rows shuffled within each user, times in seconds."""
    user = np.repeat(np.arange(len(lengths)), lengths)
    gap = generator.exponential(MEAN_GAP, len(user)).astype(np.int64) + 1  # at least a second
    timestamp = np.cumsum(gap)  # over all users in a row; then each is moved to a start of its own
    first = OPENING + generator.integers(0, YEAR, len(lengths))
    timestamp += np.repeat(first - timestamp[truth.start[:-1]], lengths)
    row = np.lexsort((generator.random(len(user)), user))  # time order -> file order
    return SyntheticInteractions(
        user=user, item=truth.item[row], rating=np.full(len(user), 5.0, np.float32),
        timestamp=timestamp[row], user_ids=truth.user_ids, items=items, truth=truth,
    )


def _check_whole(name: str, value: int, at_least: int, at_most: int | None = None) -> None:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < at_least or (at_most is not None and value > at_most):
        limit = f"of at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
        raise ValueError(f"{name}={value!r}: expected a whole number {limit}")
