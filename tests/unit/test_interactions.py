"""Interactions: construction, filters, order, and what they refuse."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vaerec as vr
from tests.conftest import random_log


def frame(**columns) -> pd.DataFrame:
    return pd.DataFrame({"user": [2, 1, 1], "item": ["b", "b", "a"], **columns})


def test_raw_ids_become_dense_in_ascending_order():
    log = vr.Interactions.from_frame(frame())
    assert log.user.tolist() == [1, 0, 0]
    assert log.item.tolist() == [1, 1, 0]
    assert log.user_ids.tolist() == [1, 2]
    assert log.item_ids.tolist() == ["a", "b"]


def test_without_ratings_and_times_rows_get_five_stars_and_file_order():
    log = vr.Interactions.from_frame(frame())
    assert log.rating.tolist() == [5.0, 5.0, 5.0]
    assert [s.tolist() for s in log.sequences()] == [[1, 0], [1]]


def test_titles_follow_their_item_and_default_to_the_raw_id():
    items = pd.DataFrame({"item": ["b", "z"], "title": ["Bee", "Zed"], "genres": ["Noir", ""]})
    log = vr.Interactions.from_frame(frame(), items=items)
    assert log.items["title"].tolist() == ["a", "Bee"]
    assert log.items["genres"].tolist() == ["", "Noir"]


def test_equal_times_keep_the_file_order():
    log = vr.Interactions.from_frame(pd.DataFrame({
        "user": [1, 1, 1, 1], "item": [40, 30, 20, 10], "timestamp": [5, 5, 1, 5]}))
    assert log.item_ids[log.sequences()[0]].tolist() == [20, 40, 30, 10]


def test_csr_holds_one_for_each_interaction():
    log = random_log(0)
    csr = log.to_csr()
    assert csr.dtype == np.float32 and csr.shape == (log.n_users, log.n_items)
    dense = np.zeros(csr.shape, np.float32)
    dense[log.user, log.item] = 1
    assert np.array_equal(csr.toarray(), dense)


def test_items_need_not_have_genres():
    items = pd.DataFrame({"item": ["a"], "title": ["Ay"]})
    log = vr.Interactions.from_frame(frame(), items=items)
    assert log.items["title"].tolist() == ["Ay", "b"] and log.items["genres"].tolist() == ["", ""]


def test_the_caller_keeps_his_own_arrays():
    source = frame(timestamp=[3, 2, 1])
    log = vr.Interactions.from_frame(source)
    before = log.fingerprint
    source.loc[:, "timestamp"] = 0
    assert vr.Interactions.from_frame(source).fingerprint != before
    assert log.timestamp.tolist() == [3, 2, 1]


def test_arrays_are_read_only():
    log = random_log(0)
    with pytest.raises(ValueError, match="read-only"):
        log.user_ids[0] = 9
    with pytest.raises(ValueError, match="read-only"):
        log.user[0] = 3


def test_fingerprint_changes_with_any_content():
    log, same = random_log(0), random_log(0)
    assert log.fingerprint == same.fingerprint
    assert log.fingerprint != random_log(1).fingerprint
    assert log.fingerprint != log.filter(min_rating=2).fingerprint


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(0, 9), st.integers(0, 9))
def test_iterative_filter_reaches_a_core_and_no_more_is_dropped(seed, stars, user_items, item_users):
    log = random_log(seed)
    try:
        core = log.filter(min_rating=stars, min_user_items=user_items, min_item_users=item_users,
                          iterative=True)
    except ValueError:
        return  # an empty core: said so by the error
    assert np.bincount(core.user).min() >= max(user_items, 1)
    assert np.bincount(core.item).min() >= max(item_users, 1)
    assert core.rating.min() >= stars
    # the k-core is unique: peel users and items one at a time, in plain Python, and compare
    pairs = {(log.user_ids[u], log.item_ids[i])
             for u, i, r in zip(log.user, log.item, log.rating) if r >= stars}
    while True:
        users = pd.Series([u for u, _ in pairs]).value_counts()
        items = pd.Series([i for _, i in pairs]).value_counts()
        kept = {(u, i) for u, i in pairs if users[u] >= user_items and items[i] >= item_users}
        if kept == pairs:
            break
        pairs = kept
    assert pairs == set(zip(core.user_ids[core.user], core.item_ids[core.item]))


def test_filter_keeps_titles_beside_their_items():
    log = random_log(3)
    kept = log.filter(min_rating=5, min_item_users=6)
    assert 0 < kept.n_items < log.n_items
    assert kept.items["title"].tolist() == [str(i) for i in kept.item_ids]


@pytest.mark.parametrize("bad, message", [
    (pd.DataFrame({"user": [1]}), "no column"),
    (pd.DataFrame({"user": [], "item": []}), "log is empty"),
    (pd.DataFrame({"user": [1, None], "item": [1, 2]}), "row 1 has no user"),
    (pd.DataFrame({"user": [1, 2], "item": [1, 2], "timestamp": [1, None]}), "row 1 has no timestamp"),
    (pd.DataFrame({"user": [1, 2], "item": [1, 2], "rating": [None, 3.0]}), "row 0 has no rating"),
    (pd.DataFrame({"user": [1, 2], "item": [1, 2], "timestamp": [1.7, 1.2]}), "expected whole numbers"),
    (pd.DataFrame({"user": [1, 1, 1], "item": [1, 2, 1]}), "row 2 repeats user 1 with item 1"),
])
def test_bad_frames_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        vr.Interactions.from_frame(bad)


def test_filtering_everything_away_says_which_filter():
    with pytest.raises(ValueError, match=r"min_rating=6.*loosen"):
        random_log(0).filter(min_rating=6)
