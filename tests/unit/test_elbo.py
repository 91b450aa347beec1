"""The ELBO and its relatives against exact values, and the schedules.

Exact: probabilistic PCA, where the evidence and the posterior have a closed form, and the six-film
world, where everything is an integral over a line.
"""

import math

import numpy as np
import pytest
import torch
from torch.distributions import (
    Bernoulli,
    Multinomial,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from vaerec.batches import Bags
from vaerec.datasets import six_films
from vaerec.elbo import (
    Constant,
    LinearToCap,
    active_units,
    effective_sample_size,
    elbo,
    free_bits,
    gaussian_kl,
    iwae_bound,
    kl_per_unit,
    log_weights,
    reparameterize,
)
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


# Probabilistic PCA: z ~ N(0, I), x | z ~ N(W z + m, s² I). The columns of W are orthogonal, so that the
# true posterior has a diagonal covariance and q can be equal to it.

class PPCA:
    """One observation x [D], its exact evidence log_p and its exact posterior mu, logvar [L]."""

    def __init__(self, latent: int = 3, n_features: int = 7, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        draw = torch.randn(n_features, latent + 1, generator=generator, dtype=torch.float64)
        self.W = torch.linalg.qr(draw[:, :latent])[0] * torch.linspace(2.0, 0.3, latent).double()
        self.m, self.s = draw[:, latent], 0.7
        noise = torch.randn(n_features, generator=generator, dtype=torch.float64)
        self.x = self.W.sum(dim=1) + self.m + self.s * noise
        covariance = self.W @ self.W.T + self.s**2 * torch.eye(n_features, dtype=torch.float64)
        self.log_p = MultivariateNormal(self.m, covariance).log_prob(self.x)
        M = self.W.T @ self.W + self.s**2 * torch.eye(latent, dtype=torch.float64)
        self.mu = torch.linalg.solve(M, self.W.T @ (self.x - self.m))
        self.logvar = (self.s**2 / M.diagonal()).log()

    def log_likelihood(self, z: torch.Tensor) -> torch.Tensor:
        """Log p(x | z), [..., L] -> [...]."""
        return Normal(z @ self.W.T + self.m, self.s).log_prob(self.x).sum(dim=-1)

    def weights(self, mu, logvar, n_samples: int, seed: int, shape=()) -> torch.Tensor:
        """Log-weights of samples of N(mu, sigma²), [S, *shape]."""
        noise = torch.randn(n_samples, *shape, len(mu), dtype=torch.float64,
                            generator=torch.Generator().manual_seed(seed))
        z = reparameterize(mu, logvar, noise)
        return log_weights(self.log_likelihood(z), z, mu, logvar)


@pytest.mark.parametrize("latent", [1, 3, 6])
def test_with_the_true_posterior_every_bound_is_the_evidence(latent):
    """w = p(x, z) / q(z | x) = p(x) for each z: nothing varies, so Jensen loses nothing."""
    world = PPCA(latent)
    log_w = world.weights(world.mu, world.logvar, n_samples=64, seed=0)
    torch.testing.assert_close(log_w, world.log_p.expand(64), rtol=0, atol=1e-10)
    for k in (1, 4, 64):
        assert abs(iwae_bound(log_w, k) - world.log_p) < 1e-10
    assert effective_sample_size(log_w).item() == pytest.approx(64, abs=1e-8)


@pytest.mark.parametrize("latent", [1, 3, 6])
def test_the_elbo_of_ppca_in_closed_form(latent):
    """log p(x) = ELBO + KL(q || posterior), with any q; E_q log p(x | z) by hand."""
    world = PPCA(latent)
    mu, logvar = world.mu + 0.3, world.logvar - 0.8
    trace = (world.W.square().sum(dim=0) * logvar.exp()).sum()
    expected = world.log_likelihood(mu) - trace / (2 * world.s**2)
    value = elbo(expected, gaussian_kl(mu, logvar))
    gap = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(world.mu, (world.logvar / 2).exp())).sum()
    assert abs(value + gap - world.log_p) < 1e-10
    at_posterior = elbo(world.log_likelihood(world.mu)
                        - (world.W.square().sum(dim=0) * world.logvar.exp()).sum() / (2 * world.s**2),
                        gaussian_kl(world.mu, world.logvar))
    assert abs(at_posterior - world.log_p) < 1e-10


def test_iwae_of_ppca_climbs_to_the_evidence():
    world = PPCA(latent=3)
    mu, logvar = world.mu + 0.3 * (world.logvar / 2).exp(), world.logvar + 0.5
    log_w = world.weights(mu, logvar, n_samples=2**17, seed=0)
    last = iwae_bound(log_w)
    # q is wider than the posterior, so the weights have a variance: error of log mean w is cv / sqrt(S)
    error = (2**17 / effective_sample_size(log_w) - 1).sqrt() / 2**8.5
    assert abs(last - world.log_p) < 5 * error < 0.03
    assert iwae_bound(log_w, 1) < world.log_p - 0.2


# The six-film world: z is one number. A q that is neither the posterior nor far from it.

HISTORY = (0, 1, 0, 2, 4, 1)
MU = torch.tensor([-0.5], dtype=torch.float64)
LOGVAR = torch.tensor([-1.5], dtype=torch.float64)


def on_grid(density_log: torch.Tensor, function: torch.Tensor) -> torch.Tensor:
    """The integral over the grid of exp(density_log) times function."""
    return (density_log.exp() * function).sum() * six_films.STEP


def q_on_grid(mu=MU, logvar=LOGVAR) -> torch.Tensor:
    return six_films.log_normal(six_films.GRID, mu.item(), (logvar / 2).exp().item())


def film_weights(mu, logvar, noise):
    """Log-weights of the samples mu + sigma noise, [S, ...]."""
    z = reparameterize(mu, logvar, noise[..., None])
    return log_weights(six_films.log_likelihood(z[..., 0], HISTORY), z, mu, logvar)


def nodes(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points and weights of E over a standard normal, exact for polynomials up to degree 2n - 1."""
    points, weights = np.polynomial.hermite_e.hermegauss(n)
    return torch.from_numpy(points), torch.from_numpy(weights / weights.sum())


@pytest.mark.parametrize("mu, logvar", [(0.0, 0.0), (1.3, -2.0), (-2.0, 1.1), (0.4, -5.0)])
def test_kl_by_grid(mu, logvar):
    mu, logvar = (torch.tensor([value], dtype=torch.float64) for value in (mu, logvar))
    log_q = q_on_grid(mu, logvar)
    expected = on_grid(log_q, log_q - six_films.log_normal(six_films.GRID))
    assert abs(gaussian_kl(mu, logvar) - expected) < 1e-6


def test_evidence_is_the_elbo_plus_the_kl_to_the_posterior():
    log_q = q_on_grid()
    bound = elbo(on_grid(log_q, six_films.log_likelihood(six_films.GRID, HISTORY)),
                 gaussian_kl(MU, LOGVAR))
    gap = on_grid(log_q, log_q - six_films.log_posterior(HISTORY))
    assert abs(bound + gap - six_films.log_evidence(HISTORY)) < 1e-6
    assert gap > 0.01


def test_log_weights_are_the_three_densities():
    """log w = log p(x | z) + log p(z) - log q(z | x), each density written out."""
    z = torch.linspace(-4, 4, 9, dtype=torch.float64)
    log_w = log_weights(six_films.log_likelihood(z, HISTORY), z[:, None], MU, LOGVAR)
    expected = (six_films.log_likelihood(z, HISTORY) + six_films.log_normal(z)
                - six_films.log_normal(z, MU.item(), (LOGVAR / 2).exp().item()))
    torch.testing.assert_close(log_w, expected, rtol=0, atol=1e-12)


def test_log_weights_add_up_over_dimensions_and_broadcast_over_users():
    generator = torch.Generator().manual_seed(0)
    mu, logvar = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)
    z = torch.randn(5, 4, 3, generator=generator, dtype=torch.float64)
    log_likelihood = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    q, prior = Normal(mu, (logvar / 2).exp()), Normal(torch.zeros(()).double(), 1.0)
    expected = log_likelihood + (prior.log_prob(z) - q.log_prob(z)).sum(dim=-1)
    torch.testing.assert_close(log_weights(log_likelihood, z, mu, logvar), expected)


def test_the_bounds_of_one_two_and_three_samples_by_quadrature():
    """E log (1/k) sum w over all k-tuples of nodes: no chance, so the order is exact."""
    points, p = nodes(48)
    log_w = film_weights(MU, LOGVAR, points)
    expected = {}
    for k in (1, 2, 3):
        places = torch.cartesian_prod(*[torch.arange(48)] * k).reshape(-1, k).T  # [k, 48^k]
        expected[k] = (p[places].prod(dim=0) * iwae_bound(log_w[places])).sum()
    log_q, log_likelihood = q_on_grid(), six_films.log_likelihood(six_films.GRID, HISTORY)
    by_grid = elbo(on_grid(log_q, log_likelihood), gaussian_kl(MU, LOGVAR))
    assert abs(expected[1] - by_grid) < 1e-6
    assert by_grid < expected[2] - 1e-3 < expected[3] - 2e-3
    assert expected[3] < six_films.log_evidence(HISTORY)
    # k = 2 once more, by the grid and from its definition
    part = slice(None, None, 4)
    log_w = film_weights(MU, LOGVAR, (six_films.GRID[part] - MU) / (LOGVAR / 2).exp())
    density = log_q[part].exp() * 4 * six_films.STEP
    mean_of_two = torch.logaddexp(log_w[:, None], log_w[None, :]) - math.log(2)
    assert abs(density @ mean_of_two @ density - expected[2]) < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_the_bounds_rise_to_the_evidence(seed):
    """ELBO <= IWAE(k) <= IWAE(k + 1) <= log p, within five standard errors of independent draws."""
    log_p = six_films.log_evidence(HISTORY)
    mean, error = {}, {}
    for k in (1, 2, 3, 4, 8, 64):
        generator = torch.Generator().manual_seed(100 * seed + k)
        noise = torch.randn(k, 20_000, generator=generator, dtype=torch.float64)
        bounds = iwae_bound(film_weights(MU, LOGVAR, noise))  # [20_000]
        mean[k], error[k] = bounds.mean(), bounds.std() / math.sqrt(20_000)
    for k, following in zip((1, 2, 3, 4, 8), (2, 3, 4, 8, 64), strict=True):
        assert mean[k] <= mean[following] + 5 * math.hypot(error[k], error[following])
    assert mean[64] <= log_p + 5 * error[64]
    # and the climb is there: far more than chance
    assert mean[1] + 20 * error[1] < mean[8] < log_p
    assert log_p - mean[64] < 0.1 * (log_p - mean[1])


def test_doubling_k_on_the_same_samples_never_lowers_the_bound():
    """log((a + b) / 2) >= (log a + log b) / 2: no chance in this either."""
    log_w = film_weights(MU, LOGVAR, torch.randn(1024, 50, dtype=torch.float64,
                                                 generator=torch.Generator().manual_seed(0)))
    curve = torch.stack([iwae_bound(log_w, 2**j) for j in range(11)])
    assert (curve.diff(dim=0) >= -1e-12).all()


def test_iwae_by_hand():
    """Two weights 1 and 3: the bound is log 2; the mean of the two logs is log(3) / 2."""
    log_w = torch.tensor([1.0, 3.0], dtype=torch.float64).log()
    assert iwae_bound(log_w).item() == pytest.approx(math.log(2), abs=1e-12)
    assert iwae_bound(log_w, 1).item() == pytest.approx(math.log(3) / 2, abs=1e-12)
    assert effective_sample_size(log_w).item() == pytest.approx(16 / 10, abs=1e-12)


def test_iwae_averages_over_groups_of_k():
    log_w = torch.randn(12, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([group.exp().mean(dim=0).log() for group in log_w.split(4)]).mean(dim=0)
    torch.testing.assert_close(iwae_bound(log_w, k=4), expected)


@pytest.mark.parametrize("shift", [-5000.0, 0.0, 5000.0])
def test_weights_that_overflow_outside_the_logarithm(shift):
    log_w = torch.tensor([0.0, 1.0, -2.0, 0.5]) + shift
    exact = math.log(sum(math.exp(v) for v in (0, 1, -2, 0.5)) / 4)
    assert iwae_bound(log_w).item() - shift == pytest.approx(exact, abs=1e-3)
    w = np.exp([0.0, 1.0, -2.0, 0.5])
    assert effective_sample_size(log_w).item() == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-3)


@pytest.mark.parametrize("k", [0, -1, 5, 7, 13])
def test_k_must_divide_the_number_of_samples(k):
    with pytest.raises(ValueError, match=f"k={k}: expected a divisor of the 12 samples"):
        iwae_bound(torch.zeros(12), k)
    with pytest.raises(ValueError, match="divisor of the 0 samples"):
        iwae_bound(torch.zeros(0))


def test_effective_sample_size_of_made_cases():
    S = 10
    assert effective_sample_size(torch.full((S,), -3.0)).item() == pytest.approx(S)
    one = torch.full((S,), -math.inf)
    one[4] = 7.0
    assert effective_sample_size(one).item() == 1
    half = torch.cat([torch.zeros(5), torch.full((5,), -math.inf)])
    assert effective_sample_size(half).item() == pytest.approx(5)
    many = effective_sample_size(torch.stack([one, half, torch.zeros(S)], dim=1))
    torch.testing.assert_close(many, torch.tensor([1.0, 5.0, 10.0]))


def test_the_variance_behind_the_effective_sample_size():
    """Var sum_s w~_s f(z_s) = Var f sum_s w~_s², as if there were 1 / sum w~² equal samples."""
    generator = torch.Generator().manual_seed(0)
    log_w = torch.randn(50, generator=generator, dtype=torch.float64)
    w = log_w.softmax(dim=0)  # fixed weights, values f that have nothing to do with them
    f = torch.randn(200_000, 50, generator=generator, dtype=torch.float64)
    assert (f @ w).var().item() == pytest.approx(1 / effective_sample_size(log_w).item(), rel=0.02)
    assert effective_sample_size(log_w).item() == pytest.approx((1 / w.square().sum()).item(), rel=1e-12)
    # and 1 / (1 + cv²) of all samples, cv the coefficient of variation of the weights
    cv = (log_w.exp().var(correction=0).sqrt() / log_w.exp().mean()).item()
    assert effective_sample_size(log_w).item() == pytest.approx(50 / (1 + cv**2), rel=1e-12)


@pytest.mark.parametrize("r, L", [(1.4, 1), (1.4, 4), (0.8, 3)])
def test_the_share_of_one_dimension_to_the_power_of_all(r, L):
    """q = N(0, r), posterior N(0, 1): E_q w² / p(x)² = (r / sqrt(2 r - 1))^L, which needs r > 1/2."""
    z = six_films.GRID
    log_q = six_films.log_normal(z, sigma=math.sqrt(r))
    second = on_grid(log_q, (2 * (six_films.log_normal(z) - log_q)).exp())
    assert second.item() == pytest.approx(r / math.sqrt(2 * r - 1), rel=1e-9)
    noise = torch.randn(400_000, L, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logvar = torch.full((L,), math.log(r), dtype=torch.float64)
    log_w = log_weights(noise.new_zeros(400_000), math.sqrt(r) * noise, torch.zeros_like(logvar), logvar)
    share = effective_sample_size(log_w).item() / 400_000
    assert share == pytest.approx((math.sqrt(2 * r - 1) / r) ** L, rel=0.05)


def test_below_half_the_variance_the_weights_have_none():
    """sigma_q² < sigma_post² / 2: the integral of w² q grows with the grid, without end."""
    def second(r, reach):
        z = torch.arange(-reach, reach, 1 / 64, dtype=torch.float64)
        log_q = six_films.log_normal(z, sigma=math.sqrt(r))
        return ((2 * six_films.log_normal(z) - log_q).exp().sum() / 64).item()

    assert second(0.6, 30) == pytest.approx(second(0.6, 15), rel=1e-3)
    assert second(0.4, 30) > 1e6 * second(0.4, 15)


def test_a_quarter_of_the_gap_with_four_times_the_samples():
    """log p - L_k is about cv² / (2 k) where the weights have a variance."""
    world, k = PPCA(latent=2), 64
    mu, logvar = world.mu, world.logvar + 0.6
    r = math.exp(0.6)
    cv2 = (r / math.sqrt(2 * r - 1)) ** 2 - 1
    delta = iwae_bound(world.weights(mu, logvar, n_samples=k, seed=0, shape=(10_000,))) - world.log_p
    gap = (delta.expm1() - delta).mean()  # A / p - 1 has mean 0; with it the estimate is far less noisy
    assert gap.item() == pytest.approx(cv2 / (2 * k), rel=0.1)


@pytest.mark.parametrize("beta", [0.05, 0.2, 0.5, 2.0])
def test_undoing_beta_gives_the_posteriors_width(beta):
    """The best cloud under beta has 1 / sigma_q² = 1 + D / beta; sigma~² is the posterior's again."""
    world = PPCA(latent=3)
    D = world.W.square().sum(dim=0) / world.s**2
    logvar = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([logvar], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14)

    def loss():
        optimiser.zero_grad()
        expected = world.log_likelihood(world.mu) - (D * logvar.exp()).sum() / 2
        value = -elbo(expected, gaussian_kl(world.mu, logvar), beta)
        value.backward()
        return value

    optimiser.step(loss)
    torch.testing.assert_close(logvar.exp(), 1 / (1 + D / beta), rtol=1e-6, atol=0)
    undone = 1 / (1 + beta * (1 / logvar.exp() - 1))
    torch.testing.assert_close(undone, world.logvar.exp(), rtol=1e-6, atol=0)


# Two estimators of one gradient.

def exact_gradient() -> torch.Tensor:
    """d/d(mu, logvar) of the ELBO, by differentiating the quadrature of the closed expectation."""
    mu, logvar = MU.clone().requires_grad_(), LOGVAR.clone().requires_grad_()
    points, p = nodes(60)
    z = reparameterize(mu, logvar, points[:, None])
    value = elbo((p * six_films.log_likelihood(z[:, 0], HISTORY)).sum(), gaussian_kl(mu, logvar))
    return torch.stack(torch.autograd.grad(value, [mu, logvar])).squeeze(1)


def sampled_gradients(n: int, seed: int) -> dict[str, torch.Tensor]:
    """Single-sample estimates of the gradient, [n, 2], of both kinds."""
    noise = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    mu, logvar = MU.expand(n).clone().requires_grad_(), LOGVAR.expand(n).clone().requires_grad_()
    rate = gaussian_kl(mu[:, None], logvar[:, None])
    z = reparameterize(mu, logvar, noise)
    through = six_films.log_likelihood(z, HISTORY) - rate
    reparameterised = torch.autograd.grad(through.sum(), [mu, logvar], retain_graph=True)
    z = z.detach()
    log_q = Normal(mu, (logvar / 2).exp()).log_prob(z)  # grad E_q f = E_q [f grad log q]
    surrogate = six_films.log_likelihood(z, HISTORY) * log_q - rate
    score = torch.autograd.grad(surrogate.sum(), [mu, logvar])
    return {"reparameterised": torch.stack(reparameterised, dim=1), "score": torch.stack(score, dim=1)}


@pytest.mark.parametrize("seed", range(3))
def test_two_estimators_of_the_gradient_have_the_same_mean(seed):
    n, exact = 400_000, exact_gradient()
    estimates = sampled_gradients(n, seed)
    for draws in estimates.values():
        assert ((draws.mean(dim=0) - exact).abs() < 5 * draws.std(dim=0) / math.sqrt(n)).all()
    variance = {name: draws.var(dim=0) for name, draws in estimates.items()}
    assert (variance["score"] > 5 * variance["reparameterised"]).all()


def test_the_exact_gradient_by_differences():
    def value(mu, logvar):
        log_q = q_on_grid(mu, logvar)
        return elbo(on_grid(log_q, six_films.log_likelihood(six_films.GRID, HISTORY)),
                    gaussian_kl(mu, logvar))

    step = 1e-4
    differences = torch.stack([value(MU + step, LOGVAR) - value(MU - step, LOGVAR),
                               value(MU, LOGVAR + step) - value(MU, LOGVAR - step)]) / (2 * step)
    torch.testing.assert_close(exact_gradient(), differences, rtol=0, atol=1e-6)


def test_a_constant_changes_the_score_functions_variance_and_not_its_mean():
    """E_q [b grad log q] = 0 for any constant b, a baseline."""
    z = six_films.GRID
    score = (z - MU) / LOGVAR.exp()  # d log q / d mu
    f = six_films.log_likelihood(z, HISTORY)
    log_q = q_on_grid()
    b = on_grid(log_q, f)
    assert abs(on_grid(log_q, score)) < 1e-10
    assert abs(on_grid(log_q, (f - b) * score) - on_grid(log_q, f * score)) < 1e-9
    assert on_grid(log_q, ((f - b) * score).square()) < 0.2 * on_grid(log_q, (f * score).square())


def test_gradcheck():
    generator = torch.Generator().manual_seed(0)
    mu, logvar, z, noise = torch.randn(4, 3, 4, generator=generator, dtype=torch.float64).unbind()
    likelihood = torch.randn(3, generator=generator, dtype=torch.float64)
    inputs = [tensor.requires_grad_() for tensor in (mu, logvar)]
    assert torch.autograd.gradcheck(kl_per_unit, inputs)
    assert torch.autograd.gradcheck(gaussian_kl, inputs)
    assert torch.autograd.gradcheck(lambda mu, logvar: reparameterize(mu, logvar, noise), inputs)
    likelihood.requires_grad_()
    assert torch.autograd.gradcheck(lambda f, *q: elbo(f, gaussian_kl(*q), 0.3), [likelihood, *inputs])
    assert torch.autograd.gradcheck(lambda f, z, *q: iwae_bound(log_weights(f, z, *q)),
                                    [likelihood, z.requires_grad_(), *inputs])
    assert torch.autograd.gradcheck(lambda *q: free_bits(kl_per_unit(*q), 0.6), inputs)


# Collapse.

def test_the_rate_by_unit_adds_up():
    mu, logvar = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    assert kl_per_unit(mu, logvar).shape == (5, 4)
    torch.testing.assert_close(kl_per_unit(mu, logvar).sum(dim=1), gaussian_kl(mu, logvar))
    assert kl_per_unit(torch.zeros(2), torch.zeros(2)).tolist() == [0, 0]


def test_active_units_of_made_cases():
    users = torch.linspace(-1, 1, 100)
    mu = torch.stack([users, 0.01 * users, torch.full((100,), 9.0), 0.2 * users], dim=1)
    assert mu.var(dim=0)[3] > 0.01
    assert active_units(mu) == 2  # the first and the last: a constant far from 0 carries nothing either
    assert active_units(mu, threshold=0.1) == 1
    assert active_units(mu, threshold=0.0) == 3
    assert active_units(torch.zeros(2, 5)) == 0


def test_active_units_refuse_what_has_no_variance():
    for n_users in (0, 1):
        with pytest.raises(ValueError, match=f"mu has {n_users} rows"):
            active_units(torch.zeros(n_users, 3))
    with pytest.raises(ValueError, match="not finite"):
        active_units(torch.tensor([[0.0, 1.0], [math.nan, 2.0]]))


def test_free_bits_is_a_hinge_on_the_mean_of_each_group():
    r"""sum_g max(lambda, 1/B sum_b KL_bg): the first group's mean is below the floor, user by user not."""
    kl = torch.tensor([[0.0, 2.0], [1.0, 4.0]], requires_grad=True)
    value = free_bits(kl, 0.75)
    assert value.item() == 0.75 + 3
    value.backward()
    assert kl.grad.tolist() == [[0, 0.5], [0, 0.5]]  # below the floor no gradient, above 1 / B
    assert free_bits(kl, 0.0).item() == pytest.approx(kl.sum(dim=1).mean().item())


# Bad input.

@pytest.mark.parametrize("value", [-0.1, -math.inf, math.inf, math.nan])
def test_weights_that_are_no_weights(value):
    with pytest.raises(ValueError, match="beta="):
        elbo(torch.zeros(2), torch.ones(2), beta=value)
    with pytest.raises(ValueError, match="floor="):
        free_bits(torch.ones(2, 2), floor=value)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("logvar", [-1e4, -200.0, -89.0, 89.0, 200.0, 1e4])
def test_a_large_logvar_is_never_nan(logvar, dtype):
    """Inf where sigma² does not fit into the type, which vr.fit refuses; a number everywhere else."""
    mu, logvar = torch.tensor([1.5], dtype=dtype), torch.tensor([logvar], dtype=dtype)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    rate = gaussian_kl(mu, logvar)
    assert rate.dtype == wide and not rate.isnan().any()
    fits = math.log(torch.finfo(wide).max) > logvar.item()
    assert rate.isfinite().item() == fits
    if not fits:
        assert rate.item() == math.inf


@pytest.mark.parametrize("logvar", [-1e4, -400.0, -200.0])
def test_log_weights_of_a_posterior_without_width(logvar):
    """z equals mu in this type: finite, with noise 0 by definition."""
    mu, logvar = torch.tensor([1.5]), torch.tensor([logvar])
    z = reparameterize(mu, logvar, torch.tensor([[0.4], [-1.0]]))
    log_w = log_weights(torch.zeros(2), z, mu, logvar)
    expected = 0.5 * (logvar - mu.square()).expand(2)
    torch.testing.assert_close(log_w, expected)


def test_bounds_of_an_empty_history():
    """A user without films: log p(x) = 0, and the ELBO is minus the rate."""
    mu, logvar = torch.tensor([0.3]).double(), torch.tensor([-0.2]).double()
    noise = torch.randn(200_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = reparameterize(mu, logvar, noise[:, None])
    log_w = log_weights(multinomial_log_likelihood(z.expand(-1, 6), Bags(
        torch.empty(0, dtype=torch.int64), torch.zeros(200_001, dtype=torch.int64))), z, mu, logvar)
    assert iwae_bound(log_w, 1).item() == pytest.approx(-gaussian_kl(mu, logvar).item(), abs=5e-3)
    assert iwae_bound(log_w).item() == pytest.approx(0, abs=5e-3)
