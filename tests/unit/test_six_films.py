"""Chapter 4's formulas in the six-film world, and its notebook's own functions against the package."""

import contextlib
import io
import math

import numpy as np
import pytest
import run
import torch
from scipy.integrate import quad
from scipy.optimize import minimize
from torch.distributions import Normal, kl_divergence

from vaerec.datasets import six_films
from vaerec.datasets.six_films import GRID, STEP, log_evidence, log_likelihood, log_normal, log_posterior
from vaerec.elbo import elbo, gaussian_kl

HISTORIES = [[5], [4, 5], [0, 5], [0, 0, 1, 3, 4, 5], [2, 2, 2], [3] * 5 + [4] * 10 + [5] * 25]
QS = [(mu, sigma) for mu in (-1.5, 0.0, 0.7, 2.0) for sigma in (0.05, 0.3, 1.0, 1.3)]


def expectation(q, values):
    """E_q of values on the grid; q is a density."""
    return (q * values).sum() * STEP


def rate(mu, sigma):
    return gaussian_kl(torch.tensor([mu], dtype=torch.float64),
                       torch.tensor([2 * math.log(sigma)], dtype=torch.float64))


def exact_elbo(mu, sigma, x, beta=1.0):
    q = log_normal(GRID, mu, sigma).exp()
    return elbo(expectation(q, log_likelihood(GRID, x)), rate(mu, sigma), beta)


def kl(log_q, log_p):
    return expectation(log_q.exp(), log_q - log_p)


# log p(x | z) = sum of log pi_i(z),  p(x) = integral of p(x | z) p(z) dz

def test_the_likelihood_is_a_softmax_by_hand():
    z = 0.7
    score = [math.exp(s * z + b) for s, b in zip(six_films.SLOPE.tolist(), six_films.BIAS.tolist())]
    pi = [value / sum(score) for value in score]
    x = [4, 5, 5]
    value = log_likelihood(torch.tensor(z, dtype=torch.float64), x)
    assert value.item() == pytest.approx(sum(math.log(pi[i]) for i in x), abs=1e-12)
    assert len(six_films.TITLES) == len(six_films.SLOPE) == len(six_films.BIAS) == 6


@pytest.mark.parametrize("x", HISTORIES, ids=str)
def test_the_evidence_is_the_integral(x):
    shift = log_likelihood(GRID, x).max().item()  # keeps forty films from underflowing in quad

    def joint(z):
        z = torch.tensor(z, dtype=torch.float64)
        return math.exp(log_likelihood(z, x).item() - shift + log_normal(z).item())

    integral, _ = quad(joint, -12, 12, points=[-1, 0, 1, 2], epsabs=1e-13, epsrel=1e-12, limit=200)
    assert log_evidence(x).item() == pytest.approx(math.log(integral) + shift, abs=1e-9)


def test_evidences_of_all_histories_sum_to_one():
    every = torch.cartesian_prod(*[torch.arange(6)] * 3).tolist()
    assert sum(log_evidence(x).exp().item() for x in every) == pytest.approx(1, abs=1e-12)


def test_no_film_leaves_the_prior():
    assert log_evidence([]).item() == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(log_posterior([]), log_normal(GRID), rtol=0, atol=1e-12)


@pytest.mark.parametrize("x", HISTORIES, ids=str)
def test_the_posterior_is_a_density_and_obeys_bayes(x):
    log_p = log_posterior(x)
    assert log_p.exp().sum().item() * STEP == pytest.approx(1, abs=1e-12)
    bayes = log_likelihood(GRID, x) + log_normal(GRID) - log_p  # the same at every z
    torch.testing.assert_close(bayes, log_evidence(x).expand_as(bayes), rtol=0, atol=1e-10)


@pytest.mark.parametrize("film", [-1, 6])
def test_a_film_that_is_not_there_is_named(film):
    with pytest.raises(ValueError, match="0 to 5"):
        log_likelihood(GRID, [0, film])


# log p(x) = log E_q p(x | z) p(z) / q(z) >= E_q log p(x | z) p(z) / q(z) = ELBO(q)

@pytest.mark.parametrize("x", HISTORIES, ids=str)
def test_jensen(x):
    for mu, sigma in [(0.0, 1.0), (0.5, 0.8), (1.0, 1.3)]:
        log_q = log_normal(GRID, mu, sigma)
        log_w = log_likelihood(GRID, x) + log_normal(GRID) - log_q
        log_mean = (log_q + log_w).logsumexp(dim=0) + math.log(STEP)
        mean_log = expectation(log_q.exp(), log_w)
        assert log_mean.item() == pytest.approx(log_evidence(x).item(), abs=1e-10)
        assert mean_log < log_mean
        assert mean_log.item() == pytest.approx(exact_elbo(mu, sigma, x).item(), abs=1e-9)


# log p(x) = ELBO(q) + KL(q || p(z | x)),  ELBO(q) = E_q log p(x | z) - KL(q || p(z))

@pytest.mark.parametrize("x", HISTORIES, ids=str)
@pytest.mark.parametrize(("mu", "sigma"), QS)
def test_elbo_and_gap_add_up_to_the_evidence(mu, sigma, x):
    gap = kl(log_normal(GRID, mu, sigma), log_posterior(x))
    assert gap > 0
    assert exact_elbo(mu, sigma, x) < log_evidence(x)
    assert (exact_elbo(mu, sigma, x) + gap).item() == pytest.approx(log_evidence(x).item(), abs=1e-9)


# KL(N(mu, sigma²) || N(0, 1)) = (mu² + sigma² - 1 - log sigma²) / 2

@pytest.mark.parametrize(("mu", "sigma"), QS)
def test_the_rate_in_closed_form(mu, sigma):
    value = rate(mu, sigma).item()
    assert value == pytest.approx(0.5 * (mu**2 + sigma**2 - 1 - math.log(sigma**2)), abs=1e-12)
    assert value == pytest.approx(kl(log_normal(GRID, mu, sigma), log_normal(GRID)).item(), abs=1e-9)
    one = torch.tensor(1.0, dtype=torch.float64)
    assert value == pytest.approx(kl_divergence(Normal(mu * one, sigma * one),
                                                Normal(0 * one, one)).item(), abs=1e-12)


@pytest.mark.parametrize("x", [[4, 5], [0, 0, 1, 3, 4, 5]], ids=str)
def test_the_gradient_of_the_elbo_is_right(x):
    def value(mu, logvar):
        q = log_normal(GRID, mu, torch.exp(0.5 * logvar)).exp()
        return elbo(expectation(q, log_likelihood(GRID, x)), gaussian_kl(mu[None], logvar[None]))

    place = torch.tensor([0.4, -0.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: value(*v), place)
    (by_autograd,) = torch.autograd.grad(value(*place), place)
    h = 1e-5
    for i in range(2):
        shift = h * torch.eye(2, dtype=torch.float64)[i]
        slope = (value(*(place + shift)) - value(*(place - shift))) / (2 * h)
        assert by_autograd[i].item() == pytest.approx(slope.item(), abs=1e-8)


# The folded boxes

def best(x, beta=1.0):
    found = minimize(lambda v: -exact_elbo(v[0], math.exp(v[1]), x, beta).item(), [0.0, 0.0])
    return exact_elbo(float(found.x[0]), math.exp(found.x[1]), x, beta)


@pytest.mark.parametrize("beta", [0.2, 0.5, 1.0, 2.0, 5.0])
def test_beta_above_one_is_a_bound_and_below_one_need_not_be(beta):
    """max_q F_beta(q) = beta log integral of p(x | z)^(1 / beta) p(z) dz."""
    x = [4, 5]
    ceiling = beta * ((log_likelihood(GRID, x) / beta + log_normal(GRID)).logsumexp(dim=0)
                      + math.log(STEP))
    tilted = (log_likelihood(GRID, x) / beta + log_normal(GRID)).log_softmax(dim=0) - math.log(STEP)
    reached = (expectation(tilted.exp(), log_likelihood(GRID, x))
               - beta * kl(tilted, log_normal(GRID)))
    assert reached.item() == pytest.approx(ceiling.item(), abs=1e-9)
    assert best(x, beta) < ceiling  # a Gaussian comes near
    assert best(x, beta).item() == pytest.approx(ceiling.item(), abs=0.02)
    assert (best(x, beta) <= log_evidence(x)) == (beta >= 1)
    assert (ceiling > log_evidence(x) + 1e-9) == (beta < 1)


# The notebook's own functions equal the package's

@pytest.fixture(scope="module")
def chapter() -> dict:
    """Names that the chapter's cells define, without its figures and its record."""
    wanted = ("titles =", "step =", "def rate(", "def best_q(", "films =")
    cells = [cell.source for cell in run.code_cells(run.read("04-the-elbo"))]
    sources = [source for start in wanted for source in cells if source.startswith(start)]
    assert len(sources) == len(wanted)
    import pandas as pd

    import vaerec as vr

    names = {"math": math, "np": np, "torch": torch, "pd": pd, "minimize": minimize, "vr": vr,
             "six_films": six_films}
    torch.set_default_dtype(torch.float64)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            for source in sources:
                exec(source, names)
        yield names
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_chapter_holds_the_package_s_world(chapter):
    assert tuple(chapter["titles"]) == six_films.TITLES
    for name, ours in (("slope", six_films.SLOPE), ("bias", six_films.BIAS), ("grid", GRID)):
        assert torch.equal(chapter[name], ours)
    torch.testing.assert_close(chapter["log_pi"](GRID), six_films.log_probabilities(GRID),
                               rtol=0, atol=1e-12)
    torch.testing.assert_close(chapter["log_normal"](GRID, 0.3, 0.6), log_normal(GRID, 0.3, 0.6))


@pytest.mark.parametrize("x", HISTORIES, ids=str)
def test_the_chapter_s_functions_equal_the_package_s(chapter, x):
    assert chapter["log_evidence"](x).item() == pytest.approx(log_evidence(x).item(), abs=1e-10)
    torch.testing.assert_close(chapter["log_posterior"](x), log_posterior(x), rtol=0, atol=1e-10)
    for mu, sigma in QS:
        assert chapter["rate"](mu, sigma) == pytest.approx(rate(mu, sigma).item(), abs=1e-12)
        for beta in (0.2, 1.0, 2.0):
            assert chapter["elbo"](mu, sigma, x, beta).item() == pytest.approx(
                exact_elbo(mu, sigma, x, beta).item(), abs=1e-10)
        assert chapter["gap"](mu, sigma, x).item() == pytest.approx(
            kl(log_normal(GRID, mu, sigma), log_posterior(x)).item(), abs=1e-10)


def test_the_best_q_of_the_chapter_is_the_best(chapter):
    mu, sigma = chapter["best_q"]([4, 5])
    top = exact_elbo(mu, sigma, [4, 5])
    for other in [(mu + d, sigma * math.exp(e)) for d in (-0.01, 0, 0.01) for e in (-0.01, 0, 0.01)]:
        assert exact_elbo(*other, [4, 5]) <= top + 1e-9


def test_what_the_chapter_says_of_width(chapter):
    """By equal factors wide costs more, by equal steps of sigma narrow does."""
    gap = chapter["gap"]
    for user in ("Ben", "Chi"):
        x = chapter["histories"][user]
        mu, sigma = chapter["best_q"](x)
        assert gap(mu, 3 * sigma, x) > gap(mu, sigma / 3, x)
        step = sigma / 4
        assert gap(mu, sigma - step, x) > gap(mu, sigma + step, x)


def test_what_the_chapter_says_of_elbo_and_ranking(chapter):
    """The shares have the higher ELBO and the worse ranking; computed here film by film."""
    mu, sigma = chapter["mu"], chapter["sigma"]
    needle = sum(p.item() * exact_elbo(m, s / 5, x)
                 for p, m, s, x in zip(chapter["p_x"], mu.tolist(), sigma.tolist(),
                                       chapter["films"].tolist()))
    assert chapter["mean_elbo"](mu, sigma / 5) == pytest.approx(needle.item(), abs=1e-9)
    pi = (log_normal(GRID).exp()[:, None] * chapter["log_pi"](GRID).exp()).sum(dim=0) * STEP
    own = 3 * (pi * pi.log()).sum()  # three films, each drawn from the shares
    assert own > needle
    assert chapter["mean_ndcg"](pi.expand(216, 6)) < chapter["mean_ndcg"](chapter["log_pi"](mu)) - 0.05


def test_the_bug_of_the_chapter_reports_a_bound_above_the_evidence(chapter):
    x = chapter["histories"]["Ben"]
    mu, sigma = chapter["best_q"](x)
    h = math.log(sigma)
    bug = chapter["elbo"](mu, sigma, x, beta=0) - 0.5 * (mu**2 + math.exp(h) - 1 - h)
    assert bug > log_evidence(x) > exact_elbo(mu, sigma, x)
