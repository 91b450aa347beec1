"""Protocols: published splits to the row, and properties of any split."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import vaerec as vr
from tests.conftest import random_log
from vaerec.protocols import strong_generalization, weak_generalization


def rows(histories) -> int:
    return sum(map(len, histories))


def test_liang_2018_on_ml_1m(ml_1m):
    split = vr.protocols.LIANG_2018(ml_1m)
    assert (split.train.n_users, split.n_items, len(split.train)) == (4534, 3483, 435_180)
    assert (rows(split.test.fold_in), rows(split.test.targets)) == (55_473, 13_483)


def test_sachdeva_2019_on_ml_1m(ml_1m):
    split = vr.protocols.SACHDEVA_2019(ml_1m)
    assert (split.n_items, len(split.train)) == (3483, 435_180)
    assert (rows(split.validation.fold_in), rows(split.validation.targets)) == (56_578, 14_500)
    assert (rows(split.test.fold_in), rows(split.test.targets)) == (54_859, 14_097)


def test_blog_2022_on_ml_1m(ml_1m):
    split = vr.protocols.BLOG_2022(ml_1m)
    core = ml_1m.filter(min_rating=4, min_user_items=5, min_item_users=5, iterative=True)
    assert (core.n_users, core.n_items, len(core)) == (6034, 3125, 574_376)
    # an item of five users may lose all five rows to the targets, and leaves the catalogue
    unseen = ~np.isin(core.item_ids, split.item_ids)
    assert unseen.sum() <= 2 and split.train.n_users == 6034
    shown_and_hidden = rows(split.test.fold_in) + rows(split.test.targets)
    assert shown_and_hidden == 574_376 - np.isin(core.item, np.flatnonzero(unseen)).sum()


@pytest.mark.parametrize("protocol", ["LIANG_2018", "SACHDEVA_2019", "BLOG_2022"])
@pytest.mark.parametrize(("scale", "min_rating"), [([0, 1], 1), (range(11), 7)])
def test_published_protocols_take_other_scales(protocol, scale, min_rating):
    """The threshold moves with the scale: what is kept is what the same likes on five stars would keep."""
    log, generator = random_log(1, n_users=60), np.random.default_rng(0)
    liked = generator.random(len(log)) < 0.7
    on_scale = np.where(liked, generator.integers(min_rating, scale[-1] + 1, len(log)),
                        generator.integers(0, min_rating, len(log)))
    options = {} if protocol == "BLOG_2022" else {"n_heldout": 10}
    make = getattr(vr.protocols, protocol)
    split = make(dataclasses.replace(log, rating=on_scale), min_rating=min_rating, **options)
    stars = make(dataclasses.replace(log, rating=np.where(liked, 5, 2)), **options)
    pd.testing.assert_frame_equal(split.describe(), stars.describe())
    assert split.train.rating.min() >= min_rating and split.catalogue == stars.catalogue
    assert f"{protocol} with ratings >= {min_rating}" in split.name and "with ratings" not in stars.name


def test_a_scale_without_fours_is_named():
    log = random_log(1, n_users=60)
    with pytest.raises(ValueError, match="min_rating=4.*ratings go from 0 to 1"):
        vr.protocols.LIANG_2018(dataclasses.replace(log, rating=log.rating > 2))


def test_users_are_drawn_as_the_authors_draw_them(ml_1m):
    """The recipe of the published code, in pandas: permute sorted ids, last are test."""
    kept = ml_1m.filter(min_rating=4, min_user_items=5)
    np.random.seed(98765)  # noqa: NPY002 - the authors' generator
    permuted = kept.user_ids[np.random.permutation(kept.n_users)]  # noqa: NPY002
    split = vr.protocols.LIANG_2018(ml_1m)
    assert set(split.test.user_ids) == set(permuted[-750:])
    assert set(split.validation.user_ids) == set(permuted[-1500:-750])
    assert set(split.train.user_ids) == set(permuted[:-1500])


def test_random_targets_are_those_of_the_authors(ml_1m):
    """Their recipe in plain Python: reseed for each part, users by raw id, rows in file order."""
    kept = ml_1m.filter(min_rating=4, min_user_items=5)
    split = vr.protocols.LIANG_2018(ml_1m)
    table = pd.DataFrame({"user": kept.user_ids[kept.user], "item": kept.item_ids[kept.item]})
    table = table[table["item"].isin(split.item_ids)]
    for held_out in (split.validation, split.test):
        np.random.seed(98765)  # noqa: NPY002 - the authors' generator
        expected = {}
        for user, own in table[table["user"].isin(held_out.user_ids)].groupby("user"):
            n = len(own)
            chosen = np.random.choice(n, size=int(0.2 * n), replace=False) if n >= 5 else []  # noqa: NPY002
            expected[user] = set(own["item"].to_numpy()[chosen])
        assert dict(zip(held_out.user_ids, raw_sets(split, held_out.targets), strict=True)) == expected


def raw_sets(split, histories):
    return [set(split.item_ids[h]) for h in histories]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.sampled_from(vr.protocols.TARGETS),
       st.floats(0.1, 0.6))
def test_strong_generalisation_properties(seed, n_heldout, targets, fraction):
    log = random_log(seed, share=0.25)
    options = {"n_heldout": n_heldout, "targets": targets, "fraction": fraction, "seed": seed, "ties": "file"}
    try:
        split = strong_generalization(log, **options)
    except ValueError as error:
        if "would have a target" in str(error):  # few users of few items, and a fraction of them is none
            assume(False)
        raise
    train_users = set(split.train.user_ids)
    assert len(split.validation.user_ids) == len(split.test.user_ids) == n_heldout
    for held_out in (split.validation, split.test):
        assert not train_users & set(held_out.user_ids)
        raw_user, raw_item = log.user_ids[log.user], log.item_ids[log.item]
        for user, fold_in, target in zip(held_out.user_ids, held_out.fold_in, held_out.targets):
            assert not set(fold_in) & set(target)
            consumed = set(raw_item[raw_user == user]) & set(split.item_ids)
            assert set(split.item_ids[fold_in]) | set(split.item_ids[target]) == consumed
            n = len(fold_in) + len(target)
            if n < 5:
                expected = 0
            elif targets == "random":
                expected = int(fraction * n)
            else:
                expected = n - int((1 - fraction) * n)
            assert len(target) == expected
        assert np.array_equal(held_out.item_counts, np.bincount(split.train.item))
        assert held_out.n_train_users == split.train.n_users
    assert not set(split.validation.user_ids) & set(split.test.user_ids)


def test_temporal_targets_are_never_older_than_the_fold_in():
    log = random_log(5)
    split = strong_generalization(log, n_heldout=8, targets="temporal", seed=1, ties="file")
    time = {(u, i): t for u, i, t in zip(log.user_ids[log.user], log.item_ids[log.item], log.timestamp)}
    for user, fold_in, target in zip(split.test.user_ids, split.test.fold_in, split.test.targets):
        times = [time[user, split.item_ids[i]] for i in [*fold_in, *target]]
        assert times == sorted(times)


def test_random_targets_of_seven_items_are_one_and_temporal_two():
    """int(.2 * 7) = 1, but 7 - int(.8 * 7) = 2: the two published rules round apart."""
    frame = vr.Interactions.from_frame(
        pd.DataFrame({"user": np.repeat(range(10), 7), "item": np.tile(range(7), 10)}))
    for targets, n in (("random", 1), ("temporal", 2)):
        split = strong_generalization(frame, n_heldout=2, targets=targets)
        assert [len(t) for t in split.test.targets] == [n, n]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 0.4), st.floats(0.05, 0.4))
def test_weak_generalisation_properties(seed, fraction, validation):
    log = random_log(seed)
    longest = np.bincount(log.user).max()
    if int(min(fraction, validation) * longest) < 1:
        with pytest.raises(ValueError, match="would have a target"):
            weak_generalization(log, fraction=fraction, validation=validation, seed=seed)
        return
    split = weak_generalization(log, fraction=fraction, validation=validation, seed=seed)
    trained = {(u, i) for u, i in zip(split.train.user_ids[split.train.user],
                                      split.item_ids[split.train.item])}
    for u, user in enumerate(log.user_ids):
        shown, hidden = raw_sets(split, [split.validation.fold_in[u], split.validation.targets[u]])
        test_shown, test_hidden = raw_sets(split, [split.test.fold_in[u], split.test.targets[u]])
        assert not shown & hidden and not test_shown & test_hidden and not hidden & test_hidden
        assert {i for who, i in trained if who == user} == shown
        assert test_shown == shown | hidden
        consumed = set(log.item_ids[log.item[log.user == u]])
        assert shown | hidden | test_hidden == consumed & set(split.item_ids)
        if set(split.item_ids) >= consumed:
            assert len(test_hidden) == int(fraction * len(consumed))
            assert len(hidden) == int(validation * len(consumed))


def test_seeds_decide():
    log = random_log(0)
    first, same, other = (strong_generalization(log, n_heldout=8, seed=s) for s in (1, 1, 2))
    assert first.test.user_ids.tolist() == same.test.user_ids.tolist() != other.test.user_ids.tolist()
    assert all(np.array_equal(a, b) for a, b in zip(first.test.targets, same.test.targets))


def test_random_targets_look_random():
    """Each place in time is a target about a fifth of the time, not only the end."""
    log = vr.Interactions.from_frame(pd.DataFrame(
        {"user": np.repeat(range(1000), 10), "item": np.tile(range(10), 1000)}))
    split = strong_generalization(log, n_heldout=400)
    share = np.bincount(np.concatenate(split.test.targets), minlength=10) / 400
    # binomial(400, .2): standard deviation .02; four of them around the mean
    assert np.all(np.abs(share - 0.2) < 0.08)


def test_describe_counts_what_is_there():
    split = strong_generalization(random_log(0), n_heldout=8)
    table = split.describe()
    assert table.loc["train"].tolist() == [split.train.n_users, len(split.train), 0]
    assert table.loc["test", "targets"] == rows(split.test.targets)
    assert "unverified copy" in repr(split)


@pytest.mark.parametrize("options, message", [
    ({"n_heldout": 0}, "n_heldout=0"),
    ({"n_heldout": 15}, "30 of 30 users"),
    ({"n_heldout": 5, "targets": "last"}, "targets='last'"),
    ({"n_heldout": 5, "fraction": 1.0}, "fraction=1.0"),
    ({"n_heldout": 2.0}, "n_heldout=2.0: expected a whole number"),
])
def test_wrong_parameters_of_strong_generalisation(options, message):
    with pytest.raises(ValueError, match=message):
        strong_generalization(random_log(0), **options)


@pytest.mark.parametrize("options, message", [
    ({"fraction": 0}, "fraction=0"),
    ({"fraction": 0.5, "validation": 0.5}, "leave nothing to train on"),
])
def test_wrong_parameters_of_weak_generalisation(options, message):
    with pytest.raises(ValueError, match=message):
        weak_generalization(random_log(0), **options)


def test_a_log_that_the_filters_empty_is_refused():
    log = random_log(0, share=0.05)
    with pytest.raises(ValueError, match="no interaction is left"):
        vr.protocols.LIANG_2018(log, n_heldout=2)


def items_each(n: int, n_users: int = 40) -> vr.Interactions:
    """Users of n items each."""
    return vr.Interactions.from_frame(pd.DataFrame(
        {"user": np.repeat(range(n_users), n), "item": np.tile(range(n), n_users)}))


def test_users_of_nine_items_cannot_be_validated_by_the_blog():
    log = items_each(9)
    with pytest.raises(ValueError, match=r"no user of the validation .*validation=0.1 of at most 9 items is "
                                         r"none: take validation=0.12"):
        vr.protocols.BLOG_2022(log)
    split = vr.protocols.BLOG_2022(log, validation=0.12)  # what the message says would do
    assert split.validation.n_asked == split.test.n_asked == 40


@pytest.mark.parametrize("make, message, repaired", [
    (lambda log, value=0.1: strong_generalization(log, n_heldout=4, fraction=value),
     "fraction=0.1 of at most 7 items is none: take fraction=0.15", 0.15),
    (lambda log, value=0.1: weak_generalization(log, fraction=value, validation=0.3),
     "no user of the test .*fraction=0.1 of at most 7 items is none: take fraction=0.15", 0.15),
])
def test_fractions_that_leave_no_target_name_one_that_does(make, message, repaired):
    with pytest.raises(ValueError, match=message):
        make(items_each(7))
    assert make(items_each(7), repaired).test.n_asked > 0


def test_users_of_too_few_items_have_no_target():
    with pytest.raises(ValueError, match=r"at most 4 items, of 5 that it takes: filter\(min_user_items=5\)"):
        strong_generalization(items_each(4), n_heldout=4)
    with pytest.raises(ValueError, match="at most 2 items, of 3"):
        weak_generalization(items_each(2))


def test_every_user_is_in_one_fold(world):
    folds = list(vr.protocols.rotating_folds(world, n_folds=5))
    tested = [set(fold.test.user_ids) for fold in folds]
    assert set().union(*tested) == set(world.user_ids) and sum(map(len, tested)) == world.n_users
    assert [set(fold.validation.user_ids) for fold in folds] == [tested[-1], *tested[:-1]]
    for fold, users in zip(folds, tested, strict=True):
        assert set(fold.train.user_ids) == set(world.user_ids) - users - set(fold.validation.user_ids)


@pytest.mark.parametrize("targets", ["random", "temporal"])
def test_the_last_fold_is_the_published_split(world, targets):
    """400 users in 5 folds of 80, or 80 + 80 held out."""
    *_, last = vr.protocols.rotating_folds(world, n_folds=5, targets=targets)
    split = vr.protocols.strong_generalization(world, n_heldout=world.n_users // 5, targets=targets)
    assert last.train.fingerprint == split.train.fingerprint
    for part in ("validation", "test"):
        ours, theirs = getattr(last, part), getattr(split, part)
        for name in ("fold_in", "targets"):
            assert all(map(np.array_equal, getattr(ours, name), getattr(theirs, name)))


@pytest.mark.parametrize("options", [{"n_folds": 2}, {"n_folds": 401}, {"targets": "none"},
                                     {"fraction": 1.0}])
def test_folds_refuse_what_cannot_be(world, options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        vr.protocols.rotating_folds(world, **options)
