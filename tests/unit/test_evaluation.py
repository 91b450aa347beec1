"""Metrics against independent referees, against paper and pencil, and at their edges."""

import warnings

import numpy as np
import pandas as pd
import pytest
import pytrec_eval
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import norm
from sklearn.metrics import ndcg_score

import vaerec as vr
from vaerec.evaluation import Report, over_seeds
from vaerec.metrics import gini, gini_d, overlap
from vaerec.models import TopNRecommender
from vaerec.protocols import HeldOut


class Fixed(TopNRecommender):
    """Gives the u-th user in line the u-th row of a score matrix."""

    def __init__(self, matrix):
        super().__init__(matrix.shape[1])
        self.matrix, self.next = torch.as_tensor(matrix, dtype=torch.float64), 0

    def score_batch(self, histories, users=None):
        rows = self.matrix[self.next:self.next + len(histories)]
        self.next += len(histories)
        return rows


def questions(seed: int, n_users: int = 12, n_items: int = 30):
    """Distinct random scores [U, I], and held-out users with 0 to 8 seen and 1 to 6 target items."""
    generator = np.random.default_rng(seed)
    scores = generator.permuted(np.tile(np.arange(n_items), (n_users, 1)), axis=1).astype(float)
    shuffled = [generator.permutation(n_items) for _ in range(n_users)]
    seen = generator.integers(0, 9, n_users)
    n = generator.integers(1, 7, n_users)
    held_out = HeldOut(
        user_ids=np.array([f"u{u}" for u in range(n_users)]),
        fold_in=[np.sort(s[:k]) for s, k in zip(shuffled, seen)],
        targets=[s[k:k + m] for s, k, m in zip(shuffled, seen, n)],
        item_counts=generator.integers(1, 100, n_items), n_train_users=100,
    )
    # an empty history would be answered by popularity, not by these scores
    held_out.fold_in[:] = [f if len(f) else s[-1:] for f, s in zip(held_out.fold_in, shuffled)]
    return scores, held_out


def masked(scores, held_out):
    scores = scores.copy()
    for row, fold_in in zip(scores, held_out.fold_in):
        row[fold_in] = -1e9
    return scores


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 3, 10, 20]), st.sampled_from([1, 5, 500]))
def test_accuracy_agrees_with_trec_eval(seed, k, batch_size):
    scores, held_out = questions(seed)
    report = vr.evaluate(Fixed(scores), held_out, ks=(k,), batch_size=batch_size)
    rows = {}
    for user, score, seen, target in zip(held_out.user_ids, scores, held_out.fold_in, held_out.targets):
        run = {str(i): s for i, s in enumerate(score) if i not in set(seen)}
        referee = pytrec_eval.RelevanceEvaluator(
            {"q": {str(i): 1 for i in target}}, {f"ndcg_cut.{k}", f"recall.{k}", f"P.{k}"})
        rows[user] = referee.evaluate({"q": run})["q"]
    expected = pd.DataFrame(rows).T
    per_user = report.per_user
    assert per_user.index.tolist() == expected.index.tolist()
    np.testing.assert_allclose(per_user[f"ndcg@{k}"], expected[f"ndcg_cut_{k}"], atol=1e-12)
    np.testing.assert_allclose(per_user[f"recall_all@{k}"], expected[f"recall_{k}"], atol=1e-12)
    np.testing.assert_allclose(per_user[f"precision@{k}"], expected[f"P_{k}"], atol=1e-12)
    n = np.array([len(t) for t in held_out.targets])
    np.testing.assert_allclose(per_user[f"recall@{k}"], expected[f"recall_{k}"] * n / np.minimum(k, n))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_ndcg_agrees_with_scikit_learn(seed):
    scores, held_out = questions(seed)
    relevance = np.zeros_like(scores)
    for row, target in zip(relevance, held_out.targets):
        row[target] = 1
    report = vr.evaluate(Fixed(scores), held_out, ks=(10,))
    assert report["ndcg@10"] == pytest.approx(ndcg_score(relevance, masked(scores, held_out), k=10))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 4, 9]))
def test_list_metrics_agree_with_counting(seed, k):
    scores, held_out = questions(seed)
    report = vr.evaluate(Fixed(scores), held_out, ks=(k,), batch_size=5)
    lists = [set(row.argsort()[::-1][:k]) for row in masked(scores, held_out)]
    n_items = scores.shape[1]
    counts = np.array([sum(i in items for items in lists) for i in range(n_items)])
    pairs = [len(a & b) / k for i, a in enumerate(lists) for b in lists[:i]]
    information = -np.log2(held_out.item_counts / held_out.n_train_users)
    assert report[f"coverage@{k}"] == np.mean(counts > 0)
    assert report[f"overlap@{k}"] == pytest.approx(np.mean(pairs))
    assert report[f"gini@{k}"] == pytest.approx(
        np.abs(counts[:, None] - counts).mean() / (2 * counts.mean()))  # half the mean difference
    assert report[f"novelty@{k}"] == pytest.approx(
        np.mean([information[list(items)].mean() for items in lists]))


def one_user(scores, fold_in, targets, n_train_users=8, counts=None):
    n_items = len(scores)
    held_out = HeldOut(np.array(["ada"]), [np.array(fold_in)], [np.array(targets, dtype=np.int64)],
                       np.ones(n_items, np.int64) if counts is None else np.array(counts), n_train_users)
    return Fixed(np.array([scores], dtype=float)), held_out


def test_ndcg_on_paper():
    """Hits at ranks 1 and 4 of five, three targets: (1 + 1/log2 5) / (1 + 1/log2 3 + 1/2)."""
    model, held_out = one_user([9, 8, 7, 6, 5, 4, 3], fold_in=[6], targets=[0, 3, 5])
    expected = (1 + 1 / np.log2(5)) / (1 + 1 / np.log2(3) + 1 / 2)
    report = vr.evaluate(model, held_out, ks=(5,))
    assert report["ndcg@5"] == pytest.approx(expected)
    assert report["recall@5"] == report["recall_all@5"] == pytest.approx(2 / 3)


def test_the_two_recalls_differ_when_targets_outnumber_the_list():
    model, held_out = one_user([9, 8, 7, 6, 5, 4], fold_in=[5], targets=[0, 2, 3, 4])
    report = vr.evaluate(model, held_out, ks=(2,))
    assert report["recall@2"] == 0.5  # of the two places one is a hit
    assert report["recall_all@2"] == 0.25  # of the four targets one is found


def test_novelty_on_paper():
    model, held_out = one_user([9, 8, 1], fold_in=[2], targets=[0], counts=[8, 1, 8])
    assert vr.evaluate(model, held_out, ks=(2,))["novelty@2"] == pytest.approx((0 + 3) / 2)


def test_gini_of_two_items_in_four():
    assert gini(np.array([0, 0, 4, 4])) == pytest.approx(0.5)
    assert gini(np.array([3, 3, 3])) == 0
    assert gini(np.array([0, 0, 0, 8])) == pytest.approx(1 - 1 / 4)


def test_gini_d_rewards_a_constant_list():
    assert gini_d(np.array([0, 0, 5, 5, 5])) == pytest.approx(1)
    assert gini_d(np.array([1, 3])) == pytest.approx(2 * (2 / 3 * 1 + 1 / 3 * 3) / 4)


def test_overlap_of_one_user_is_not_defined():
    assert np.isnan(overlap(np.array([1, 1, 0]), 1))
    assert overlap(np.array([2, 2, 0]), 2) == 1


def test_seen_items_are_never_recommended_and_short_lists_are_honest():
    """Four of five items are seen: one place is filled, and nothing seen counts as a list entry."""
    model, held_out = one_user([9, 8, 7, 6, 5], fold_in=[0, 1, 2, 3], targets=[4])
    report = vr.evaluate(model, held_out, ks=(3,))
    assert report["ndcg@3"] == 1
    assert report["coverage@3"] == pytest.approx(1 / 5)
    assert report["novelty@3"] == pytest.approx(3)


def test_users_without_targets_are_not_scored():
    scores, held_out = questions(0)
    held_out.targets[3] = np.empty(0, np.int64)
    report = vr.evaluate(Fixed(np.delete(scores, 3, axis=0)), held_out, ks=(5,))
    assert "u3" not in report.per_user.index and len(report.per_user) == 11


def test_batches_do_not_change_the_report():
    scores, held_out = questions(1)
    whole, parts = (vr.evaluate(Fixed(scores), held_out, ks=(5,), batch_size=b) for b in (500, 5))
    pd.testing.assert_frame_equal(whole.summary(), parts.summary())
    assert whole.alarms == parts.alarms


def test_bootstrap_interval_is_that_of_a_mean():
    generator = np.random.default_rng(0)
    values = generator.normal(0.4, 0.2, 2000)
    row = Report(pd.DataFrame({"ndcg@10": values}), {}).summary().loc["ndcg@10"]
    half = norm.ppf(0.975) * values.std() / np.sqrt(2000)
    assert row["mean"] == pytest.approx(values.mean())
    # the quantile of 1,000 resamples is itself uncertain by a few per cent of the width
    assert row["low"] == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert row["high"] == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_list_metrics_have_no_bootstrap_interval():
    scores, held_out = questions(2)
    summary = vr.evaluate(Fixed(scores), held_out, ks=(5,)).summary()
    no_interval = summary.index[summary["low"].isna()]
    assert set(no_interval) == {"coverage@5", "gini@5", "gini_d@5", "overlap@5"}


def reports(difference: float):
    """Two models on 500 users whose differences average ``difference`` and scatter by .1."""
    generator = np.random.default_rng(1)
    base = generator.random(500)
    index = pd.Index(range(500), name="user")
    noise = generator.normal(0, 0.1, 500)
    a = Report(pd.DataFrame({"ndcg@100": base + noise - noise.mean() + difference}, index=index), {})
    return a, Report(pd.DataFrame({"ndcg@100": base}, index=index), {})


def test_compare_is_paired():
    """Per-user scores scatter by .29, their differences by .1: only pairing resolves .02."""
    result = vr.compare(*reports(0.02), "ndcg@100")
    assert result.difference == pytest.approx(0.02)
    assert 0 < result.low < 0.02 < result.high
    assert result.high - result.low == pytest.approx(2 * 1.96 * 0.1 / np.sqrt(500), rel=0.15)
    assert result.n_users == 500


def test_compare_of_equals_includes_zero():
    result = vr.compare(*reports(0.0), "ndcg@100")
    assert result.low < 0 < result.high


def test_compare_refuses_other_users_and_list_metrics():
    a, b = reports(0.1)
    other = Report(b.per_user.iloc[::-1], {})
    with pytest.raises(ValueError, match="different users"):
        vr.compare(a, other, "ndcg@100")
    with pytest.raises(ValueError, match="no per-user metric 'coverage@100'"):
        vr.compare(a, b, "coverage@100")


def test_alarm_sees_through_masking():
    """One ranking for all: masked lists differ, as users have seen different items."""
    generator = np.random.default_rng(0)
    n_users, n_items = 40, 60
    held_out = HeldOut(np.arange(n_users),
                       [generator.choice(30, 20, replace=False) for _ in range(n_users)],
                       [np.array([55])] * n_users, np.ones(n_items, np.int64), 10)
    constant = np.tile(np.arange(n_items, 0, -1.0), (n_users, 1))
    collapsed = vr.evaluate(Fixed(constant), held_out, ks=(10,))
    assert collapsed["coverage@10"] > 0.4 and len(collapsed.alarms) == 2
    personal = vr.evaluate(Fixed(generator.random((n_users, n_items))), held_out, ks=(10,))
    assert personal.alarms == ()


def test_alarm_is_silent_where_every_list_holds_most_of_the_catalogue():
    scores, held_out = questions(0)
    assert vr.evaluate(Fixed(scores), held_out, ks=(25,)).alarms == ()


@pytest.mark.parametrize("ks", [(), (0,), (31,)])
def test_list_lengths_outside_the_catalogue_are_refused(ks):
    scores, held_out = questions(0)
    with pytest.raises(ValueError, match=r"\[1, 30\]"):
        vr.evaluate(Fixed(scores), held_out, ks=ks)


def test_scores_that_are_not_numbers_are_refused():
    scores, held_out = questions(0)
    scores[4, 7] = np.nan
    with pytest.raises(ValueError, match="Fixed gives user u4 .*not finite"):
        vr.evaluate(Fixed(scores), held_out, ks=(5,))


def test_another_catalogue_is_refused():
    _, held_out = questions(0)
    with pytest.raises(ValueError, match="knows 35 items, the held-out users' catalogue has 30"):
        vr.evaluate(Fixed(np.zeros((12, 35))), held_out, ks=(5,))


def test_no_targets_at_all_is_refused():
    scores, held_out = questions(0)
    held_out.targets[:] = [np.empty(0, np.int64)] * len(held_out.targets)
    with pytest.raises(ValueError, match="no held-out user has a target"):
        vr.evaluate(Fixed(scores), held_out, ks=(5,))


def test_intervals_over_seeds_are_those_of_student():
    runs = pd.DataFrame({"variant": ["b", "b", "b", "a"], "x": [1.0, 2.0, 4.0, 5.0]})
    table = over_seeds(runs, "x")
    assert list(table.index) == ["b", "a"] and list(table["seeds"]) == [3, 1]
    low, high = stats.t.interval(0.95, 2, loc=7 / 3, scale=np.std([1, 2, 4], ddof=1) / np.sqrt(3))
    assert table.loc["b", ["mean", "low", "high"]].tolist() == pytest.approx([7 / 3, low, high])
    assert table.loc["a", ["low", "high"]].isna().all()


def test_without_the_mask_one_list_for_all_covers_k_items_and_seen_items_take_places():
    split = vr.protocols.LIANG_2018(vr.load("synthetic"), n_heldout=100)
    popularity = vr.models.Popularity(split.n_items)
    vr.fit(popularity, split)
    masked, unmasked = (vr.evaluate(popularity, split.test, ks=(50,), mask=mask) for mask in (True, False))
    assert unmasked["coverage@50"] == pytest.approx(50 / split.n_items)
    assert unmasked["gini_d@50"] == pytest.approx(1)
    assert unmasked["ndcg@50"] < masked["ndcg@50"]
    # A list that holds what was shown cannot find as many of the targets, user by user.
    assert (unmasked.per_user["recall_all@50"] <= masked.per_user["recall_all@50"]).all()


class NoFloat64(torch.Tensor):
    """A tensor on a device without float64, as Apple's: what is made of it lies there too."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function is torch.Tensor.cpu:
            return args[0].as_subclass(torch.Tensor)
        result = super().__torch_function__(function, types, args, kwargs or {})
        for tensor in result if isinstance(result, tuple) else (result,):
            if isinstance(tensor, NoFloat64) and tensor.dtype == torch.float64:
                raise TypeError(f"{function.__name__} makes float64, which the device does not have")
        return result


def test_devices_without_float64_can_be_evaluated():
    scores, held_out = questions(0)
    scores = (scores // 3).astype(np.float32)  # with ties

    class OnDevice(Fixed):
        def score_batch(self, histories, users=None):
            return super().score_batch(histories).float().as_subclass(NoFloat64)

    plain, there = (vr.evaluate(model(scores), held_out, ks=(5, 20)) for model in (Fixed, OnDevice))
    pd.testing.assert_frame_equal(there.summary(), plain.summary())
    with pytest.raises(TypeError, match="float64, which the device"):
        torch.zeros(2).as_subclass(NoFloat64).double()


def test_a_report_shows_a_small_table():
    scores, held_out = questions(0)
    report = vr.evaluate(Fixed(scores), held_out, ks=(1, 5))
    shown, page = repr(report), report._repr_html_()
    assert shown.startswith("Report of 12 users") and len(shown.splitlines()) == 11
    assert f"{report['ndcg@5']:.4f}" in shown and f"{report['ndcg@5']:.4f}" in page
    assert report.table().loc["coverage", "95 % @5"] == ""
    collapsed = Report(report.per_user, report.lists, ("two users share < 3",))
    assert "two users share < 3" in repr(collapsed) and "two users share &lt; 3" in collapsed._repr_html_()


def test_one_k_and_a_small_catalogue():
    scores, held_out = questions(0)
    assert "ndcg@7" in vr.evaluate(Fixed(scores), held_out, ks=7).per_user
    assert list(vr.evaluate(Fixed(scores), held_out).per_user.filter(like="ndcg")) == ["ndcg@10", "ndcg@30"]


def test_a_split_or_a_log_instead_of_its_part(world, world_split):
    model = vr.models.Popularity(world_split.n_items)
    with pytest.raises(TypeError, match="pass its part, split.test or split.validation"):
        vr.evaluate(model, world_split)
    with pytest.raises(TypeError, match=r"pass the part of a split, such as vr.protocols.LIANG_2018\(log\)"):
        vr.evaluate(model, world)


def test_a_target_that_comes_twice():
    with pytest.raises(ValueError, match="user ada: item 3 is twice among their targets"):
        one_user([9, 8, 7, 6, 5, 4], fold_in=[1, 2], targets=[3, 4, 3])


def test_targets_that_were_shown_are_warned_of():
    model, held_out = one_user([9, 8, 7, 6, 5, 4], fold_in=[1, 2, 5], targets=[2, 4])
    with pytest.warns(UserWarning, match="1 targets stand in the fold-in"):
        vr.evaluate(model, held_out, ks=3)
    with warnings.catch_warnings(action="error"):
        vr.evaluate(*one_user([9, 8, 7, 6, 5, 4], fold_in=[1, 2, 5], targets=[4]), ks=3)


def test_questions_of_different_lengths():
    with pytest.raises(ValueError, match="2 user_ids, 1 fold_in and 1 targets"):
        HeldOut(np.arange(2), [np.array([1])], [np.array([0])], np.ones(3, np.int64), 5)
