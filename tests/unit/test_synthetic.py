"""The synthetic world is the one that its docstring describes."""

import time

import numpy as np
import pytest
from scipy import stats

import vaerec as vr
from vaerec.datasets import synthetic
from vaerec.datasets.synthetic import SyntheticInteractions, make_world
from vaerec.datasets.titles import invent_titles
from vaerec.metrics import gini


@pytest.fixture(scope="module")
def default() -> SyntheticInteractions:
    return vr.load("synthetic")


def lengths(log) -> np.ndarray:
    return np.bincount(log.user, minlength=log.n_users)


def genres_of(log, raw_ids) -> list[set[str]]:
    return [set(g.split("|")) for g in log.items.set_index("item").loc[raw_ids, "genres"]]


# --- the log -------------------------------------------------------------------------------------


def test_default_size_and_the_running_characters(default):
    assert (default.n_users, default.n_items) == (3000, 1000)
    assert 57 < lengths(default).mean() < 65
    assert lengths(default).min() >= 5
    named = dict(zip(default.user_ids[:3], lengths(default), strict=False))
    assert named == {"Ada": 25, "Ben": 6, "Chi": 400}


def test_raw_ids_are_sorted_and_are_not_the_dense_ones(default):
    assert list(default.user_ids[3:5]) == ["user-0004", "user-0005"]
    assert (np.sort(default.user_ids) == default.user_ids).all()
    assert default.item_ids[0] == 101
    assert (np.diff(default.item_ids) > 0).all()


def test_user_ids_stay_sorted_beyond_four_digits():
    log = make_world(n_users=10_001, n_items=20)
    assert (np.sort(log.user_ids) == log.user_ids).all()
    assert log.user_ids[-1] == "user-10001"


def test_nobody_sees_a_film_twice_and_time_moves_on(default):
    assert default.to_csr().max() == 1
    assert default.to_csr().nnz == len(default)
    in_time = np.lexsort((default.timestamp, default.user))
    same_user = np.diff(default.user[in_time]) == 0
    assert (np.diff(default.timestamp[in_time])[same_user] > 0).all()


def test_file_order_is_by_user_and_says_nothing_about_time(default):
    same_user = np.diff(default.user) == 0
    assert (np.diff(default.user) >= 0).all()
    later = np.diff(default.timestamp)[same_user] > 0
    assert later.mean() == pytest.approx(0.5, abs=0.01)


def test_timestamps_give_back_the_true_order(default):
    # The log keeps all items, so its dense ids are the truth's.
    np.testing.assert_array_equal(np.concatenate(default.sequences()), default.truth.item)


def test_ratings_pass_a_filter(default):
    assert default.rating.dtype == np.float32
    assert len(default.filter(min_rating=4, min_user_items=5)) == len(default)


def test_filtering_keeps_the_truth(default):
    small = default.filter(min_item_users=50)
    assert small.n_items < default.n_items
    assert isinstance(small, SyntheticInteractions)
    assert small.truth is default.truth


def test_the_truth_cannot_be_changed(default):
    with pytest.raises(ValueError, match="read-only"):
        default.truth.taste[0] = 0


# --- reproducible --------------------------------------------------------------------------------


def test_fingerprint_is_pinned(default):
    """Every number of the book that stands on this world changes when this one does."""
    assert default.fingerprint.startswith("d94a8c6d77e89c6c")


def test_seed_decides(world):
    assert make_world(400, 200).fingerprint == world.fingerprint
    assert make_world(400, 200, seed=1).fingerprint != world.fingerprint


def test_the_batch_size_changes_nothing(world, monkeypatch):
    monkeypatch.setattr(synthetic, "BATCH_CELLS", 7 * 200)
    again = make_world(400, 200)
    assert again.fingerprint == world.fingerprint
    np.testing.assert_array_equal(again.truth.taste, world.truth.taste)


def test_films_depend_on_neither_users_nor_drift(world):
    assert make_world(50, 200, drift=0.9).items.equals(world.items)


def test_under_three_seconds():
    start = time.process_time()  # one thread; other processes do not count
    make_world()
    assert time.process_time() - start < 3


# --- the generative model ------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0, 4])
def test_choices_follow_the_softmax_over_unseen_films(step):
    log = make_world(6000, 25, n_latent=3)
    truth, start = log.truth, log.truth.start[:-1]
    weight = truth.weights(truth.taste[start + step])
    for earlier in range(step):
        weight[np.arange(log.n_users), truth.item[start + earlier]] = 0
    probability = weight / weight.sum(axis=1, keepdims=True)
    expected = probability.sum(axis=0)
    observed = np.bincount(truth.item[start + step], minlength=25)
    # Pool films that hardly anybody chooses. The users differ, so the true statistic varies less
    # than chi-square: a p-value that is small is small for a reason.
    common = expected > 10
    chi2 = ((observed - expected)[common] ** 2 / expected[common]).sum()
    assert stats.chi2.sf(chi2, common.sum() - 1) > 1e-3
    # Personal, too: the log-likelihood of the choices is what these probabilities promise.
    own = np.log(probability[np.arange(log.n_users), truth.item[start + step]])
    log_p = np.log(probability, out=np.zeros_like(probability), where=probability > 0)
    mean = (probability * log_p).sum(axis=1)
    variance = (probability * log_p**2).sum(axis=1) - mean**2
    assert abs((own - mean).sum()) < 4 * np.sqrt(variance.sum())


@pytest.mark.parametrize("drift", [0.0, 0.25, 1.0])
def test_taste_is_standard_normal_at_every_step_and_decorrelates_as_promised(drift):
    truth = make_world(3000, 50, drift=drift).truth
    first = truth.start[1:-1]  # without Ada, whose path is written
    n = len(first) * truth.taste.shape[1]
    for step in (0, 4):
        taste = truth.taste[first + step].ravel()
        assert abs(taste.mean()) < 4 / np.sqrt(n)
        assert abs(taste.var() - 1) < 4 * np.sqrt(2 / n)
    correlation = np.corrcoef(truth.taste[first].ravel(), truth.taste[first + 4].ravel())[0, 1]
    assert correlation == pytest.approx((1 - drift**2) ** 2, abs=4 / np.sqrt(n))


def test_without_drift_a_taste_never_moves():
    truth = make_world(10, 50, drift=0).truth
    ids, taste = truth.path("user-0007")
    assert len(ids) == len(taste) >= 5
    assert (taste == taste[0]).all()


def test_listed_genres_are_the_largest_loadings(default):
    truth = default.truth
    listed_genres = genres_of(default, default.item_ids)
    for listed, loading in zip(listed_genres, truth.item_factors, strict=True):
        order = [truth.genres[k] for k in np.argsort(-loading)]
        assert set(order[: len(listed)]) == listed


def test_a_taste_for_a_genre_shows_in_the_films(default):
    truth = default.truth
    user = np.repeat(np.arange(default.n_users), np.diff(truth.start))
    genres = default.items["genres"].str.split("|")
    for k, genre in enumerate(truth.genres):
        of_genre = genres.apply(lambda listed, g=genre: g in listed).to_numpy()[truth.item]
        share = np.bincount(user, of_genre) / np.bincount(user)
        mean_taste = np.bincount(user, truth.taste[:, k]) / np.bincount(user)
        assert np.corrcoef(share, mean_taste)[0, 1] > 0.6, genre


def test_ada_drifts_from_comedy_to_noir(default):
    ids, taste = default.truth.path("Ada")
    genres = genres_of(default, ids)
    first, last = genres[:8], genres[-8:]
    assert sum("Comedy" in g for g in first) >= 6
    assert sum("Noir" in g for g in last) >= 6
    assert sum("Noir" in g for g in first) <= 2
    assert sum("Comedy" in g for g in last) <= 2
    assert taste[0, 0] > taste[-1, 0]
    assert taste[0, 1] < taste[-1, 1]


def test_titles_are_unique_carry_a_year_and_never_run_out(default):
    assert default.items["title"].is_unique
    assert default.items["title"].str.fullmatch(r".+ \((19|20)\d\d\)").all()
    many = invent_titles(["Noir"] * 60_000, np.random.default_rng(0))
    without_year = {title[:-7] for title in many}
    assert len(without_year) == len(many)
    assert any(title.endswith(" II") for title in without_year)


# --- like MovieLens-1M where it matters ----------------------------------------------------------


def test_history_lengths_and_popularity_resemble_movielens(default, ml_1m):
    liked = ml_1m.filter(min_rating=4, min_user_items=5)
    ratio = np.median(lengths(default)) / np.median(lengths(liked))
    assert 0.8 < ratio < 1.2
    chosen, rated = (np.bincount(log.item) for log in (default, liked))
    difference = gini(chosen[chosen > 0]) - gini(rated[rated > 0])
    assert abs(difference) < 0.05


# --- bad parameters ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_users": 2}, "n_users=2: expected a whole number of at least 3"),
        ({"n_users": 2.5}, "n_users=2.5"),
        ({"n_items": 19}, "n_items=19: expected a whole number of at least 20"),
        ({"n_items": True}, "n_items=True"),
        ({"n_latent": 1}, "n_latent=1: expected a whole number from 2 to 12"),
        ({"n_latent": 13}, "n_latent=13"),
        ({"drift": 1.1}, "drift=1.1: expected a number from 0"),
        ({"drift": float("nan")}, "drift=nan"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_bad_parameters_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        vr.load("synthetic", **options)


@pytest.mark.parametrize(
    "options", [{"n_users": 3, "n_items": 20}, {"n_latent": 2}, {"n_latent": 12}]
)
def test_the_limits_themselves_work(options):
    log = make_world(**{"n_users": 20, "n_items": 40} | options)
    assert lengths(log).max() <= 0.4 * log.n_items
    assert len(log.truth.genres) == log.truth.taste.shape[1]
