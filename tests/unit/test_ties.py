"""Equal times: counted, said, and broken by chance where one asks for it."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import vaerec as vr
from tests.conftest import random_log
from vaerec.protocols import strong_generalization

THE_CUT = {"n_heldout": 4, "targets": "temporal", "seed": 0}


def log_of(times: list[int], n_users: int = 20, unit: int = 1000) -> vr.Interactions:
    """Users who take items 0, 1, 2, ... at the same times."""
    n = len(times)
    return vr.Interactions.from_frame(pd.DataFrame({
        "user": np.repeat(np.arange(n_users), n), "item": np.tile(np.arange(n), n_users),
        "timestamp": np.tile(np.array(times) * unit, n_users)}))


def without_structure(n_users: int = 400, n_items: int = 100, length: int = 20) -> vr.Interactions:
    """Items by chance, one constant time, the file sorted by item."""
    generator = np.random.default_rng(0)
    items = generator.permuted(np.tile(np.arange(n_items), (n_users, 1)), axis=1)[:, :length]
    return vr.Interactions.from_frame(pd.DataFrame(
        {"user": np.repeat(np.arange(n_users), length), "item": items.ravel(), "timestamp": 0,
         }).sort_values("item", kind="stable"))


def test_ties_at_the_cut_are_counted_and_no_others():
    """Of ten items the last two are targets: the cut is between the eighth and the ninth."""
    at_the_cut = log_of([0, 1, 2, 3, 4, 5, 6, 7, 7, 9])
    elsewhere = log_of([0, 0, 0, 3, 4, 5, 7, 7, 8, 8])
    with pytest.warns(UserWarning, match="100% of the held-out users have equal times on both sides"):
        split = strong_generalization(at_the_cut, **THE_CUT)
    assert split.tied == 1 and split.describe()["tied"].tolist() == [pd.NA, 4, 4]
    assert "100% of the held-out users have a tie at the cut" in repr(split)
    with warnings.catch_warnings(action="error"):
        split = strong_generalization(elsewhere, **THE_CUT)
    assert split.tied == 0 and split.describe()["tied"].tolist() == [pd.NA, 0, 0]


def test_what_is_said_explicitly_is_not_warned_of():
    log = random_log(0)
    with warnings.catch_warnings(action="error"):
        said = strong_generalization(log, **THE_CUT, ties="file")
        at_random = strong_generalization(log, **THE_CUT, ties="random")
        strong_generalization(log, n_heldout=4)  # random targets have no cut
    with pytest.warns(UserWarning, match="ties='random'"):
        default = strong_generalization(log, **THE_CUT)
    assert said.tied == default.tied == at_random.tied > 0.05
    assert said.name == default.name and said.train.fingerprint == default.train.fingerprint
    assert "tied" not in strong_generalization(log, n_heldout=4).describe()


def test_times_that_are_places_hide_their_ties():
    log = log_of(range(10), unit=1)
    split = strong_generalization(log, **THE_CUT)
    assert log.has_places and split.tied is None and split.describe()["tied"].isna().all()
    assert "ties unknown, since the times are places" in repr(split)
    assert not log_of(range(10), unit=1000).has_places  # seconds that happen to differ
    assert not log_of([0, 1, 2, 2], unit=1).has_places  # a tie: they are times
    assert vr.Interactions.from_frame(pd.DataFrame({"user": [1, 1], "item": [1, 2]})).has_places


def test_the_copy_of_ml_1m_has_places_and_ml_100k_seconds(ml_1m, ml_100k):
    assert ml_1m.has_places and ml_1m.filter(min_rating=4, min_user_items=5).has_places
    assert not ml_100k.has_places and ml_100k.has_ties
    split = vr.protocols.SACHDEVA_2019(ml_100k, n_heldout=150, ties="file")
    assert split.tied == pytest.approx(0.41, abs=0.04)


def test_the_synthetic_world_has_no_ties(world):
    with warnings.catch_warnings(action="error"):
        split = vr.protocols.SACHDEVA_2019(world, n_heldout=60)
    assert split.tied == 0 and not world.has_places


def test_breaking_ties_moves_nothing_else():
    log = random_log(0)
    mixed, same, other = (log.break_ties(seed) for seed in (1, 1, 2))
    assert mixed.fingerprint == same.fingerprint != other.fingerprint != log.fingerprint

    def rows(log):
        return sorted(zip(log.user, log.item, log.rating, log.timestamp, strict=True))

    assert rows(mixed) == rows(log)
    assert np.array_equal(mixed.user, log.user) and np.array_equal(mixed.timestamp, log.timestamp)
    times = {(u, i): t for u, i, t in zip(log.user, log.item, log.timestamp, strict=True)}
    for user, history in enumerate(mixed.sequences()):
        own = [times[user, item] for item in history]
        assert own == sorted(own)
    distinct = replace(log, timestamp=np.arange(len(log)))
    assert distinct.break_ties(3).fingerprint == distinct.fingerprint


def test_broken_ties_do_not_depend_on_the_order_of_the_file():
    log = random_log(0)
    frame = pd.DataFrame({"user": log.user_ids[log.user], "item": log.item_ids[log.item],
                          "rating": log.rating, "timestamp": log.timestamp})
    other = vr.Interactions.from_frame(frame.sort_values("item"))
    pairs = zip(log.break_ties(5).sequences(), other.break_ties(5).sequences(), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_all_orders_of_a_tie_are_equally_likely():
    log = vr.Interactions.from_frame(pd.DataFrame({
        "user": np.repeat(np.arange(6000), 3), "item": np.tile([0, 1, 2], 6000), "timestamp": 7}))
    orders = np.array(log.break_ties().sequences())
    counts = pd.Series(map(tuple, orders)).value_counts()
    # binomial(6000, 1/6): standard deviation 29
    assert len(counts) == 6 and ((counts - 1000).abs() < 5 * 29).all()


def test_the_seed_of_the_ties_is_in_the_name():
    log = random_log(0)
    first, second = (strong_generalization(log, **THE_CUT, ties="random", ties_seed=s) for s in (0, 1))
    assert first.name.endswith("ties at random, seed 0") and second.name.endswith("ties at random, seed 1")
    assert first.train.fingerprint != second.train.fingerprint


def test_wrong_ties():
    with pytest.raises(ValueError, match="ties='first': expected one of"):
        strong_generalization(random_log(0), n_heldout=4, ties="first")


def test_a_sorted_file_gives_away_what_is_chance():
    """A model that reads in order learns that what follows has a larger number: ten of 80 unseen items."""
    found = {}
    for ties in ("file", "random"):
        split = strong_generalization(without_structure(), n_heldout=80, targets="temporal", ties=ties)
        model = vr.models.SVAE(split.n_items, embedding_dim=16, rnn_dim=16, hidden_dims=(16,), latent_dim=8)
        vr.fit(model, split, max_epochs=15, batch_size=40, lr=5e-3)
        found[ties] = vr.evaluate(model, split.test, ks=10)
    floor = vr.models.Random(split.n_items)
    vr.fit(floor, split)
    by_chance = vr.evaluate(floor, split.test, ks=10)
    assert found["file"]["ndcg@10"] > 2 * by_chance["ndcg@10"]
    assert vr.compare(found["random"], by_chance, "ndcg@10").low < 0


@pytest.fixture
def parquet(tmp_path):
    log = random_log(2, n_users=80)
    pd.DataFrame({"user": log.user_ids[log.user], "item": log.item_ids[log.item],
                  "timestamp": log.timestamp * 10_000}).to_parquet(tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


def test_shards_count_ties_and_break_them(parquet, tmp_path):
    options = {"n_heldout": 10, "targets": "temporal", "n_shards": 8}
    with pytest.warns(UserWarning, match="ties='random'"):
        by_file = vr.shards.from_files(parquet, tmp_path / "file", **options)
    with warnings.catch_warnings(action="error"):
        mixed, again, other = (
            vr.shards.from_files(parquet, tmp_path / name, ties="random", ties_seed=seed, **options)
            for name, seed in (("a", 1), ("b", 1), ("c", 2)))
        assert vr.shards.read(tmp_path / "a").tied == mixed.tied == by_file.tied > 0.05
    assert mixed.train.fingerprint == again.train.fingerprint != other.train.fingerprint
    assert by_file.test.user_ids.tolist() == mixed.test.user_ids.tolist()
    sets = [[{*a, *b} for a, b in zip(s.test.fold_in, s.test.targets, strict=True)] for s in (by_file, mixed)]
    assert sets[0] == sets[1]
    assert any(set(a) != set(b) for a, b in zip(by_file.test.targets, mixed.test.targets, strict=True))


def test_shards_of_a_split_keep_what_it_says(tmp_path):
    split = strong_generalization(random_log(0), **THE_CUT, ties="file")
    written = vr.shards.write(split, tmp_path / "shards", n_shards=8)
    pd.testing.assert_frame_equal(written.describe(), split.describe())
