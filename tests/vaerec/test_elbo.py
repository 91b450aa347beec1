"""The ELBO's terms against torch.distributions, and the schedules."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Multinomial, Normal, kl_divergence

from vaerec.batches import Bags
from vaerec.elbo import Constant, LinearToCap, gaussian_kl, reparameterize
from vaerec.likelihoods import (
    bernoulli_log_likelihood,
    gaussian_log_likelihood,
    multinomial_log_likelihood,
)


def test_kl_agrees_with_torch_distributions():
    torch.manual_seed(0)
    mu, logvar = torch.randn(2, 50, 6, dtype=torch.float64)
    q = Normal(mu, (0.5 * logvar).exp())
    expected = kl_divergence(q, Normal(torch.zeros_like(mu), torch.ones_like(mu))).sum(dim=1)
    torch.testing.assert_close(gaussian_kl(mu, logvar), expected)


def test_kl_on_paper():
    """KL(N(1, .5²) || N(0, 1)) = (1 + .25 - 1 - log .25) / 2."""
    value = gaussian_kl(torch.tensor([1.0]), torch.tensor([0.25]).log())
    assert value.item() == pytest.approx(0.818, abs=5e-4)


def test_reparameterised_samples_have_the_right_moments_and_gradient():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(200_000, 1, generator=generator, dtype=torch.float64)
    mu = torch.tensor([0.7], dtype=torch.float64, requires_grad=True)
    logvar = torch.tensor([-0.4], dtype=torch.float64, requires_grad=True)
    z = reparameterize(mu.expand(200_000, 1), logvar.expand(200_000, 1), noise)
    # standard errors: sigma / sqrt(n) = .002 for the mean
    assert z.mean().item() == pytest.approx(0.7, abs=0.01)
    assert z.var().log().item() == pytest.approx(-0.4, abs=0.02)
    # d E[z²] / d mu = 2 mu and d E[z²] / d logvar = sigma²
    z.square().mean().backward()
    assert mu.grad.item() == pytest.approx(1.4, abs=0.02)
    assert logvar.grad.item() == pytest.approx(torch.tensor(-0.4).exp().item(), abs=0.02)


def test_multinomial_differs_from_torch_distributions_by_the_coefficient():
    logits, bags, x = some_logits()
    for row, logit, ours in zip(x, logits, multinomial_log_likelihood(logits, bags)):
        n = int(row.sum())
        coefficient = torch.lgamma(torch.tensor(n + 1.0, dtype=torch.float64))  # log n!
        theirs = Multinomial(n, logits=logit).log_prob(row)
        torch.testing.assert_close(ours + coefficient, theirs)


def some_logits():
    """Logits of two users [2, 8], their items as bags and as 0/1 rows."""
    torch.manual_seed(0)
    bags = Bags(torch.tensor([1, 4, 6, 0, 7]), torch.tensor([0, 3, 5]))
    x = torch.zeros(2, 8, dtype=torch.float64)
    x[bags.user(), bags.items] = 1
    return torch.randn(2, 8, dtype=torch.float64), bags, x


def test_bernoulli_agrees_with_torch_distributions():
    logits, bags, x = some_logits()
    expected = Bernoulli(logits=logits).log_prob(x).sum(dim=1)
    torch.testing.assert_close(bernoulli_log_likelihood(logits, bags), expected)


def test_gaussian_differs_from_torch_distributions_by_a_constant():
    logits, bags, x = some_logits()
    constant = 8 * 0.5 * math.log(2 * math.pi)
    expected = Normal(logits, 1.0).log_prob(x).sum(dim=1) + constant
    torch.testing.assert_close(gaussian_log_likelihood(logits, bags), expected)


@pytest.mark.parametrize("likelihood", [multinomial_log_likelihood, bernoulli_log_likelihood,
                                        gaussian_log_likelihood])
def test_bfloat16_logits_are_summed_in_float32(likelihood):
    logits, bags, _ = some_logits()
    rounded = logits.bfloat16()
    exact = likelihood(rounded.double(), bags)
    value = likelihood(rounded, bags)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), exact, rtol=1e-6, atol=1e-6)


def test_the_gradient_of_the_multinomial_sums_to_zero():
    """Probability mass is a budget: what one item gains, the others lose."""
    logits, bags, _ = some_logits()
    logits.requires_grad_()
    multinomial_log_likelihood(logits, bags).sum().backward()
    torch.testing.assert_close(logits.grad.sum(dim=1), torch.zeros(2, dtype=torch.float64))


def test_schedules():
    assert Constant(0.3)(0.0) == Constant(0.3)(1.0) == 0.3
    climb = LinearToCap(0.2, fraction=0.5)
    assert [climb(p) for p in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([0.0, 0.1, 0.2, 0.2])


@pytest.mark.parametrize("options, message", [((-0.1,), "cap=-0.1"), ((0.2, 0.0), "fraction=0.0"),
                                              ((0.2, 1.1), "fraction=1.1")])
def test_wrong_schedules(options, message):
    with pytest.raises(ValueError, match=message):
        LinearToCap(*options)
