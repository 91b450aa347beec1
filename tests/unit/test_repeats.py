"""Models of bags read each item of a history once, in any order, at every door; sequence models do not."""

import dataclasses
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import vaerec as vr
from tests.conftest import random_log
from vaerec.batches import Bags, UserBatches
from vaerec.models.base import latest
from vaerec.shards.batches import ShardBatches

BAGS = {
    "MVAE": lambda n: vr.models.MVAE(n, (6,), 3), "EASE": lambda n: vr.models.EASE(n, l2=5),
    "MultDAE": lambda n: vr.models.MultDAE(n, 3), "Autoencoder": lambda n: vr.models.Autoencoder(n, (5,), 3),
    "Popularity": vr.models.Popularity,
}


@cache
def split() -> vr.protocols.Split:
    return vr.protocols.strong_generalization(random_log(2), n_heldout=5)


@cache
def fitted(name: str) -> vr.models.TopNRecommender:
    model = BAGS[name](split().n_items)
    vr.fit(model, split(), max_epochs=2)
    return model


histories = st.lists(st.integers(0, 24), min_size=1, max_size=12, unique=True).flatmap(
    lambda items: st.tuples(st.just(items), st.lists(st.sampled_from(items), max_size=30).flatmap(
        lambda more: st.permutations(items + more))))


@settings(max_examples=60, deadline=None)
@given(st.lists(histories, min_size=1, max_size=4))
@pytest.mark.parametrize("name", BAGS)
def test_repeated_or_permuted_a_bag_has_the_same_list(name, pairs):
    model, ids = fitted(name), split().item_ids
    once, again = ([ids[np.array(pair[side])] for pair in pairs] for side in (0, 1))
    pd.testing.assert_frame_equal(model.recommend(once), model.recommend(again), check_exact=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=15), max_size=5))
def test_the_latest_place_counts(lists):
    expected = [list(dict.fromkeys(reversed(own)))[::-1] for own in lists]
    assert [own.tolist() for own in latest([np.array(own, np.int64) for own in lists])] == expected
    bags = Bags.from_histories([np.array(own, np.int64) for own in lists], torch.device("cpu")).once()
    assert [part.items.tolist() for part in bags.split(1)] == [sorted(set(own)) for own in lists]


def test_ease_with_recency_reads_the_latest_of_equal_items():
    model = vr.models.EASE(split().n_items, l2=5, recency=0.5)
    vr.fit(model, split())
    scores = model.scores([[3, 8], [8, 3, 8], [3, 3, 3, 8], [8, 3]])
    assert torch.equal(scores[0], scores[1]) and torch.equal(scores[0], scores[2])
    assert not torch.allclose(scores[0], scores[3])


@pytest.mark.parametrize("make", [lambda: vr.models.Random(25), lambda: fitted("MVAE")])
def test_all_doors_of_a_model(make):
    model = make()
    assert torch.equal(model.scores([[4, 4, 9]]), model.scores([[4, 9]]))


def test_distortion_and_rate_read_each_item_once():
    model = fitted("MVAE")
    results = []
    for history in ([4, 9], [9, 4, 4, 9]):
        torch.manual_seed(0)
        results.append(model.distortion_and_rate([np.array(history)]))
    assert torch.equal(results[0][0], results[1][0]) and torch.equal(results[0][1], results[1][1])


def test_sequence_models_read_every_item():
    model = vr.models.SVAE(split().n_items, 4, 5, (4,), 3)
    vr.fit(model, split(), max_epochs=1)
    assert not torch.allclose(model.scores([[4, 9, 9]]), model.scores([[4, 9]]))


def test_questions_with_repeats_give_the_report_of_those_without():
    held_out = split().test
    twice = dataclasses.replace(held_out, fold_in=[np.tile(own, 2) for own in held_out.fold_in])
    for name in BAGS:
        ours, theirs = (vr.evaluate(fitted(name), part, ks=(10,)).per_user for part in (twice, held_out))
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


@pytest.fixture(scope="module")
def repeated() -> vr.Interactions:
    """The training log with each row twice, which only a log made by hand can hold."""
    train = split().train
    columns = {name: np.tile(getattr(train, name), 2) for name in ("user", "item", "rating", "timestamp")}
    return dataclasses.replace(train, **columns)


def test_training_reads_each_item_once(repeated, tmp_path):
    plain, twice = (UserBatches(log, 7, seed=0) for log in (split().train, repeated))
    for ours, theirs in zip(twice, plain, strict=True):
        assert torch.equal(ours.items, theirs.items) and torch.equal(ours.offsets, theirs.offsets)
    assert (repeated.to_csr() != split().train.to_csr()).nnz == 0
    folders = []
    for name, log in (("plain", split().train), ("twice", repeated)):
        made = dataclasses.replace(split(), train=log)
        folders.append(vr.shards.write(made, tmp_path / name, n_shards=4, lanes=2).train)
    for ours, theirs in zip(*(ShardBatches(train, 7, seed=0) for train in folders[::-1]), strict=True):
        assert torch.equal(ours.items, theirs.items) and torch.equal(ours.offsets, theirs.offsets)
    assert (folders[1].to_csr() != folders[0].to_csr()).nnz == 0


def test_sequence_batches_keep_repeats(repeated):
    kept = sum(len(bags.items) for bags in UserBatches(repeated, 7, seed=0, in_order=True))
    assert kept == 2 * len(split().train)
