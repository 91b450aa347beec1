"""The oracle's scores are the true probabilities, so its ranking is the ceiling."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

import vaerec as vr
from vaerec.datasets.synthetic import make_world
from vaerec.models import EASE, Oracle, Popularity

KINDS = ("random", "temporal")


@pytest.fixture(scope="module", params=KINDS)
def split(request, world) -> vr.protocols.Split:
    return vr.protocols.strong_generalization(world, n_heldout=100, targets=request.param)


def fitted(log, split) -> Oracle:
    oracle = Oracle(log)
    vr.fit(oracle, split)
    return oracle


def ask(oracle, held_out) -> np.ndarray:
    return oracle.scores(held_out.fold_in, users=held_out.user_ids).double().numpy()


def scored(model, split) -> vr.Report:
    vr.fit(model, split)
    return vr.evaluate(model, split.test, ks=(10, 100))


# --- the scores are probabilities, and the right ones --------------------------------------------


def draw_again(truth, taste, seen, n_draws, generator) -> np.ndarray:
    """Share of n_draws repetitions in which each film is chosen on a path of tastes [T, L]: [I].

    Written without the package's sampler: the Gumbel trick, films not yet seen, one step at a time.
    """
    taken = np.zeros((n_draws, len(truth.item_ids)), dtype=bool)
    taken[:, seen] = True
    for z in taste:
        logits = truth.item_factors @ z.astype(float) + truth.item_bias
        noisy = np.where(taken, -np.inf, logits + generator.gumbel(size=taken.shape))
        taken[np.arange(n_draws), noisy.argmax(axis=1)] = True
    taken[:, seen] = False
    return taken.mean(axis=0)


@pytest.mark.parametrize("user", ["Ada", "Chi", "user-0004", "user-0005", "user-0006"])
def test_ranks_as_the_choices_drawn_anew_do(user):
    # A hard case: of 40 films, 5 are shown, up to 11 are drawn, and a few take most of the mass.
    log = make_world(60, 40, n_latent=3, seed=5)
    split = vr.protocols.strong_generalization(log, n_heldout=5, targets="temporal")
    raw_items, taste = log.truth.path(user)
    dense = np.searchsorted(split.item_ids, raw_items)
    assert (split.item_ids[dense] == raw_items).all(), "the world must be seen by training"
    asked = replace(split.test, user_ids=[user], fold_in=[dense[:5]], targets=[dense[5:]])
    score = ask(fitted(log, split), asked)[0]

    seen = np.searchsorted(log.truth.item_ids, raw_items[:5])
    of_split = np.searchsorted(log.truth.item_ids, split.item_ids)
    generator = np.random.default_rng(0)
    first, second = (draw_again(log.truth, taste[5:], seen, 20_000, generator)[of_split]
                     for _ in range(2))
    np.testing.assert_allclose(score, (first + second) / 2, atol=0.035)

    # What could another ranking gain? Rank by one half of the draws, and measure with the other.
    discount = 1 / np.log2(np.arange(2, len(score) + 2))
    theirs, ours = (second[np.argsort(-by, kind="stable")] @ discount for by in (first, score))
    assert ours > 0.999 * theirs


def test_scores_are_calibrated(split, world):
    """Of the films that get a probability near p, a share near p are targets."""
    score = ask(fitted(world, split), split.test)
    hit, candidate = np.zeros_like(score), np.ones_like(score, dtype=bool)
    for u, (shown, targets) in enumerate(zip(split.test.fold_in, split.test.targets, strict=True)):
        hit[u, targets] = 1
        candidate[u] &= len(targets) > 0
        candidate[u, shown] = False
    score, hit = score[candidate], hit[candidate]
    for part in np.array_split(np.argsort(score), 10):
        expected, noise = score[part].mean(), np.sqrt(score[part].mean() / len(part))
        assert hit[part].mean() == pytest.approx(expected, rel=0.08, abs=4 * noise)


def test_scores_add_up_to_the_number_of_targets(split, world):
    score = ask(fitted(world, split), split.test)
    n_targets = np.array([len(targets) for targets in split.test.targets])
    n_shown = np.array([len(fold_in) for fold_in in split.test.fold_in])
    # Users none of whose films are unknown to training; such a film may still be an option.
    complete = n_shown + n_targets == np.bincount(world.user)[
        np.searchsorted(world.user_ids, split.test.user_ids)]
    assert complete.sum() > 50
    np.testing.assert_allclose(score.sum(axis=1)[complete], n_targets[complete], rtol=0.01)
    assert score.min() >= 0
    assert score.max() <= 1


def test_films_of_the_history_score_zero(split, world):
    score = ask(fitted(world, split), split.test)
    for row, shown in zip(score, split.test.fold_in, strict=True):
        assert (row[shown] == 0).all()


# --- the ceiling ---------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["ndcg@10", "ndcg@100", "recall@10"])
def test_above_every_baseline(split, world, metric):
    ceiling = scored(Oracle(world), split)
    for model in (Popularity(split.n_items), EASE(split.n_items, l2=200)):
        assert vr.compare(ceiling, scored(model, split), metric).low > 0


def test_default_world_makes_order_matter():
    """Popularity, then EASE, then EASE that forgets, then the oracle: each gap is beyond noise."""
    log = vr.load("synthetic")
    split = vr.protocols.strong_generalization(log, n_heldout=300, targets="temporal")
    n = split.n_items
    ladder = (Popularity(n), EASE(n), EASE(n, recency=0.9), Oracle(log))
    reports = [scored(model, split) for model in ladder]
    for lower, higher in itertools.pairwise(reports):
        assert vr.compare(higher, lower, "ndcg@100").low > 0


def test_recommendations_are_personal(split, world):
    assert scored(Oracle(world), split).alarms == ()


# --- who asks, and what the split hides ----------------------------------------------------------


def test_each_user_is_scored_alone(split, world):
    oracle, held_out = fitted(world, split), split.test
    together = ask(oracle, held_out)
    np.testing.assert_array_equal(ask(oracle, held_out), together)
    for u in (0, 57):
        alone = oracle.scores([held_out.fold_in[u][::-1]], users=[held_out.user_ids[u]])
        np.testing.assert_allclose(alone[0].numpy(), together[u], rtol=1e-6)


def test_a_catalogue_without_some_items_keeps_the_scores_of_the_others(world):
    few = world.select(world.user < 90)  # leaves rare films behind
    split = vr.protocols.strong_generalization(few, n_heldout=20, targets="temporal")
    assert split.n_items < few.n_items < world.n_items
    everything = vr.protocols.strong_generalization(world, n_heldout=20, targets="temporal")
    common = np.isin(everything.item_ids, split.item_ids)
    new_item = np.searchsorted(everything.item_ids, split.item_ids)
    score = ask(fitted(few, split), split.test)
    full = replace(split.test, fold_in=[new_item[fold_in] for fold_in in split.test.fold_in])
    np.testing.assert_allclose(score, ask(fitted(world, everything), full)[:, common])


def test_temporal_asks_about_the_steps_after_the_history_and_random_about_those_not_shown(world):
    raw_items, _ = world.truth.path("Ada")
    scores = {}
    for kind in KINDS:
        split = vr.protocols.strong_generalization(world, n_heldout=100, targets=kind)
        dense = np.searchsorted(split.item_ids, raw_items)
        every_second = dense[:20:2]
        scores[kind] = fitted(world, split).scores([every_second], users=["Ada"]).sum()
    assert scores["temporal"] == pytest.approx(25 - 19, rel=0.01)
    assert scores["random"] == pytest.approx(25 - 10, rel=0.01)


def test_an_empty_history_asks_about_all_steps(split, world):
    total = fitted(world, split).scores([[]], users=["Ben"]).sum()
    assert total == pytest.approx(6, rel=0.01)


def test_with_nothing_left_the_last_taste_speaks(split, world):
    raw_items, _ = world.truth.path("Ada")
    history = np.searchsorted(split.item_ids, raw_items)
    oracle = fitted(world, split)
    score = oracle.scores([history], users=["Ada"])[0]
    assert score.sum() == pytest.approx(1, rel=0.01)
    best = oracle.recommend([raw_items], k=5, item_ids=split.item_ids, users=["Ada"])
    genres = world.items.set_index("item").loc[best["item"], "genres"]
    assert genres.str.contains("Noir").sum() >= 3


# --- bad input -----------------------------------------------------------------------------------


def test_needs_a_synthetic_log():
    frame = vr.load("synthetic", n_users=20, n_items=30)
    plain = vr.Interactions(frame.user, frame.item, frame.rating, frame.timestamp,
                            frame.user_ids, frame.items)
    with pytest.raises(ValueError, match="only the synthetic world knows its true scores"):
        Oracle(plain)


def test_needs_a_split_first(world):
    with pytest.raises(ValueError, match=r"call vr\.fit"):
        Oracle(world).scores([[0]], users=["Ada"])


def test_unknown_user_is_named(split, world):
    with pytest.raises(ValueError, match="user 'Zed' is not in this synthetic world"):
        fitted(world, split).scores([[0], [1]], users=["Ada", "Zed"])


def test_users_must_be_given(split, world):
    with pytest.raises(ValueError, match="one raw user id per history"):
        fitted(world, split).scores([[0]])


def test_a_split_of_another_log_is_refused(world):
    other = make_world(60, 300)
    split = vr.protocols.strong_generalization(other, n_heldout=10)
    with pytest.raises(ValueError, match="make split and oracle from the same log"):
        vr.fit(Oracle(world), split)


def test_unknown_kind_of_targets_is_refused(split, world):
    with pytest.raises(ValueError, match=r"split\.targets='leave-one-out'"):
        vr.fit(Oracle(world), replace(split, targets="leave-one-out"))


def test_scores_are_single_precision_like_every_other_model(split, world):
    score = fitted(world, split).scores([[0, 1]], users=["Chi"])
    assert score.dtype == torch.float32
    assert score.shape == (1, split.n_items)
