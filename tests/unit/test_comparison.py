"""Differences over seeds and folds: the closed form, known variances, and what may be said."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import vaerec as vr
from vaerec.comparison import Comparison, pooled


def runs(generator, folds: int, repeats: int, n: int, user: float, run: float, noise: float) -> list:
    """Differences with mean .01 whose three parts have these standard deviations."""
    out = []
    for fold in range(folds):
        users, of_users = pd.RangeIndex(fold * n, fold * n + n), generator.normal(0, user, n)
        out += [pd.Series(0.01 + of_users + generator.normal(0, run) + generator.normal(0, noise, n), users)
                for _ in range(repeats)]
    return out


def test_seeds_in_closed_form():
    """Two users, two seeds: the two-way table by hand."""
    result = pooled([pd.Series([0.1, 0.3]), pd.Series([0.2, 0.8])])
    # of users .15, .55: variance .08, over 2; of runs .2, .5: variance .045, over 2;
    # residual: each entry off by .1, squares .04 with one degree of freedom, over 2 × 2
    assert result.difference == pytest.approx(0.35) and (result.n_users, result.n_runs) == (2, 2)
    assert result.standard_error == pytest.approx((0.08 / 2 + 0.045 / 2 - 0.04 / 4) ** 0.5)
    freedom = 0.0525**2 / (0.04**2 + 0.0225**2)
    half = stats.t.ppf(0.975, freedom) * result.standard_error
    assert (result.low, result.high) == pytest.approx((0.35 - half, 0.35 + half))


def test_folds_in_closed_form():
    """Two folds of two and three users: each user counts once, folds that differ widen the interval."""
    result = pooled([pd.Series([0.0, 0.2], [1, 2]), pd.Series([0.5, 0.6, 0.7], [3, 4, 5])])
    assert result.difference == pytest.approx(0.4) and (result.n_users, result.n_runs) == (5, 2)
    # spread of the folds' means .1 and .6 around .4: 2 / 1 × (.4² × .3² + .6² × .2²)
    assert result.standard_error**2 == pytest.approx(2 * (0.16 * 0.09 + 0.36 * 0.04))


@pytest.mark.parametrize(("folds", "repeats"), [(1, 5), (8, 1), (6, 2)])
@pytest.mark.parametrize("run", [0.0, 0.02])
def test_the_interval_knows_of_users_and_runs(folds, repeats, run):
    """Known variances: the squared standard error is right, and 95 % of the intervals hold the truth."""
    n, user, noise, generator = 60, 0.1, 0.08, np.random.default_rng(0)
    results = [pooled(runs(generator, folds, repeats, n, user, run, noise)) for _ in range(200)]
    truth = user**2 / (folds * n) + run**2 / (folds * repeats) + noise**2 / (folds * repeats * n)
    estimated = np.mean([result.standard_error**2 for result in results])
    # what cannot be below zero is on average above: most where there is nothing to be seen
    assert 0.9 < estimated / truth < 1.3
    assert 0.92 < np.mean([result.low < 0.01 < result.high for result in results]) < 0.995
    if run:  # an interval about users alone is too short
        alone = np.mean([abs(r.difference - 0.01) < 1.96 * (user**2 + noise**2 / repeats) ** 0.5
                         / (folds * n) ** 0.5 for r in results])
        assert alone < 0.9


def test_more_seeds_do_not_make_more_users():
    series = pd.Series(np.random.default_rng(0).normal(0, 0.1, 500))
    one = vr.compare(report(series), report(0 * series), "ndcg@100")
    many = pooled([series] * 5)
    assert many.standard_error == pytest.approx(one.standard_error)
    assert (many.low, many.high) == pytest.approx((one.low, one.high), abs=0.001)
    assert many.n_users == 500 and many.n_runs == 5


def report(series: pd.Series) -> vr.Report:
    return vr.Report(pd.DataFrame({"ndcg@100": series.rename_axis("user")}), {})


def test_compare_takes_sequences_of_reports():
    generator = np.random.default_rng(3)
    differences = runs(generator, 3, 2, 40, 0.1, 0.01, 0.05)
    base = [pd.Series(generator.random(40), run.index) for run in differences]
    result = vr.compare([report(a + b) for a, b in zip(base, differences, strict=True)],
                        (report(a) for a in base), "ndcg@100")
    assert result == pytest.approx(pooled(differences))
    same = vr.compare([report(base[0])] * 2, [report(base[0])] * 2, "ndcg@100")
    assert same[:3] == (0.0, 0.0, 0.0)


def test_compare_refuses_what_does_not_belong_together():
    a, b = (report(pd.Series([0.1, 0.2, 0.4], users)) for users in ([1, 2, 3], [3, 4, 5]))
    with pytest.raises(ValueError, match="2 reports against 1"):
        vr.compare([a, a], [a], "ndcg@100")
    with pytest.raises(ValueError, match="1 reports against 1"):
        vr.compare([a], a, "ndcg@100")
    with pytest.raises(ValueError, match="different users"):
        vr.compare([a, a], [a, b], "ndcg@100")
    with pytest.raises(ValueError, match="share some of their users"):
        vr.compare([a, b], [a, b], "ndcg@100")


@pytest.mark.parametrize(("low", "high", "verdict"), [
    (-0.002, 0.0029, "no difference"), (0.001, 0.002, "no difference"), (-0.004, 0.001, "undecided"),
    (0.001, 0.004, "higher"), (-0.009, -0.004, "lower"), (-0.003, 0.001, "undecided")])
def test_a_verdict_needs_an_interval(low, high, verdict):
    result = Comparison((low + high) / 2, low, high, 100, 0.001)
    assert result.verdict() == verdict
    assert result.verdict(margin=0.01) == "no difference"
    with pytest.raises(ValueError, match="margin=0"):
        result.verdict(margin=0)
