"""Equal scores are decided by one permutation of the items, at every door."""

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import vaerec as vr
from vaerec.protocols import HeldOut
from vaerec.ranking import best, tie_order


class Given(vr.models.TopNRecommender):
    """The same scores for everybody."""

    def __init__(self, scores):
        super().__init__(len(scores))
        self.given = torch.as_tensor(scores, dtype=torch.float32)

    def fit_closed_form(self, split):
        pass

    def score_batch(self, histories, users=None):
        return self.given.repeat(len(histories), 1)


def reference(scores: np.ndarray, k: int) -> np.ndarray:
    """One row after another: by score, downwards, and by the place in the permutation."""
    place = np.argsort(tie_order(scores.shape[1]))
    return np.stack([np.lexsort((place, -row))[:k] for row in scores])


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 9), st.integers(1, 90), st.sampled_from([1, 2, 5, 1000, 10**9]), st.floats(0, 1),
       st.data())
def test_any_scores_stand_in_the_order_of_a_slow_sort(n_users, n_items, levels, masked, data):
    seed, k = data.draw(st.integers(0, 10_000)), data.draw(st.integers(1, n_items))
    generator = np.random.default_rng(seed)
    scores = generator.integers(-levels, levels, (n_users, n_items)).astype(np.float32)
    scores[generator.random(scores.shape) < masked] = -np.inf
    values, items = best(torch.from_numpy(scores), k)
    np.testing.assert_array_equal(items, reference(scores, k))
    np.testing.assert_array_equal(values, np.take_along_axis(scores, reference(scores, k), axis=1))


def test_without_ties_it_is_topk():
    scores = torch.rand(20, 500, generator=torch.Generator().manual_seed(0))
    for k in (1, 100, 500):
        values, items = best(scores, k)
        assert values.equal(scores.topk(k).values) and items.equal(scores.topk(k).indices)


def test_the_permutation_is_one_for_ever():
    """A model that was saved yesterday must recommend the same tomorrow."""
    assert tie_order(10).tolist() == np.random.RandomState(0).permutation(10).tolist()
    assert sorted(tie_order(1000)) == list(range(1000))


@pytest.fixture(scope="module")
def held_out() -> HeldOut:
    generator = np.random.default_rng(0)
    orders = generator.permuted(np.tile(np.arange(400), (300, 1)), axis=1)
    return HeldOut(np.arange(300), list(orders[:, :20]), list(orders[:, 20:30]), np.ones(400, np.int64), 300)


def test_a_model_of_equal_scores_is_measured_the_same_for_every_k_and_batch(held_out):
    model = Given(np.zeros(400))
    short = vr.evaluate(model, held_out, ks=10)
    for other in (vr.evaluate(model, held_out, ks=(10, 100)), vr.evaluate(model, held_out, 10, batch_size=7),
                  vr.evaluate(model, held_out, ks=(1, 10, 399))):
        assert other.per_user["ndcg@10"].equals(short.per_user["ndcg@10"])
        assert other["coverage@10"] == short["coverage@10"]
    assert 0.005 < short["ndcg@10"] < 0.06  # chance: 10 targets of 380 unseen items
    assert short.alarms


def test_recommend_gives_the_lists_that_evaluate_scores(held_out):
    model, ids = Given(np.arange(400) // 7), np.arange(400)
    report = vr.evaluate(model, held_out, ks=(5, 50))
    lists = {k: model.recommend(held_out.fold_in, k, item_ids=ids) for k in (5, 50)}
    first = lists[50][lists[50]["rank"] <= 5].reset_index(drop=True)
    pd.testing.assert_frame_equal(lists[5], first)
    hits = [np.isin(own["item"], targets).mean() for (_, own), targets in
            zip(lists[5].groupby("user"), held_out.targets, strict=True)]
    np.testing.assert_allclose(report.per_user["precision@5"], hits)


@pytest.mark.parametrize("k", [3, 60])
def test_onnx_gives_the_lists_of_recommend(world_split, k, tmp_path):
    """A decoder of zeros and two values of bias: nearly all scores are equal."""
    model = vr.models.MVAE(world_split.n_items, hidden_dims=(6,), latent_dim=3)
    vr.fit(model, world_split, max_epochs=1)
    with torch.no_grad():
        last = model.decoder[-1]
        last.weight.zero_()
        last.bias.copy_(torch.arange(model.n_items) % 2)
    model.export(tmp_path / "mvae.onnx", k)
    histories = np.stack([history[:4] for history in world_split.test.fold_in[:20] if len(history) >= 4])
    items, _ = onnxruntime.InferenceSession(tmp_path / "mvae.onnx").run(None, {"history": histories})
    ours = model.recommend(world_split.item_ids[histories], k, item_ids=world_split.item_ids)
    np.testing.assert_array_equal(world_split.item_ids[items].ravel(), ours["item"])


def test_popularity_on_ml_100k_does_not_depend_on_k(ml_100k):
    """Its counts are whole numbers, so many of its scores are equal."""
    split = vr.protocols.SACHDEVA_2019(ml_100k, n_heldout=150, ties="file")
    model = vr.models.Popularity(split.n_items)
    vr.fit(model, split)
    ten, hundred = vr.evaluate(model, split.test, ks=10), vr.evaluate(model, split.test, ks=(10, 100))
    assert ten.per_user.equals(hundred.per_user[ten.per_user.columns])


def test_recommend_refuses_scores_that_are_not_finite():
    scores = np.zeros(20)
    scores[3] = np.nan
    with pytest.raises(ValueError, match="Given gives user 0 a score that is not finite"):
        Given(scores).recommend([[1, 2]], item_ids=np.arange(20))


def test_a_large_catalogue_is_scored_for_fewer_users_at_once(held_out, monkeypatch):
    assert vr.models.base.users_at_once(3483) == vr.models.base.users_at_once(20_000) == 500
    assert vr.models.base.users_at_once(1_000_000) == 16 and vr.models.base.users_at_once(10**9) == 1
    model, sizes = Given(np.arange(400)), []
    score = model.score_batch
    monkeypatch.setattr(model, "score_batch", lambda histories, users: (
        sizes.append(len(histories)), score(histories))[1])
    monkeypatch.setattr(vr.models.base, "CELLS", 400 * 90)
    vr.evaluate(model, held_out)
    model.recommend(held_out.fold_in, item_ids=np.arange(400))
    assert sizes == [90, 90, 90, 30] * 2
