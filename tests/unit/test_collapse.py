"""The mathematics of chapter 5: the reparameterised gradient, collapse in the linear VAE, the price beta."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

import vaerec as vr
from vaerec.batches import Bags
from vaerec.elbo import active_units, elbo, free_bits, gaussian_kl, kl_per_unit, reparameterize
from vaerec.likelihoods import multinomial_log_likelihood

CPU = torch.device("cpu")


def double(*values) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# The gradient that passes the dice: grad E_q f(z) = E_noise grad f(mu + sigma noise).

def expectation(f, mu: Tensor, logvar: Tensor) -> Tensor:
    """E f(z) over N(mu, sigma²) by a rule that is exact for polynomials of degree up to 39."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    z = reparameterize(mu, logvar, torch.from_numpy(nodes))
    return torch.from_numpy(weights / weights.sum()) @ f(z)


@pytest.mark.parametrize(("mu", "logvar"), [(0.7, -0.4), (-1.3, 0.9), (0.0, 0.0)])
@pytest.mark.parametrize(("f", "exact"), [
    (lambda z: z, lambda m, v: (1, 0)),
    (lambda z: z**2, lambda m, v: (2 * m, v)),
    (lambda z: z**3, lambda m, v: (3 * m**2 + 3 * v, 3 * m * v)),  # E z³ = m³ + 3 m v
    (lambda z: z.exp(), lambda m, v: (math.exp(m + v / 2), v / 2 * math.exp(m + v / 2))),
])
def test_the_reparameterised_gradient_is_that_of_the_closed_form(f, exact, mu, logvar):
    leaves = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (mu, logvar)]
    expectation(f, *leaves).backward()
    assert [leaf.grad.item() for leaf in leaves] == pytest.approx(exact(mu, math.exp(logvar)), abs=1e-9)


def test_gradcheck():
    generator = torch.Generator().manual_seed(0)
    mu, logvar, noise = torch.randn(3, 4, 3, generator=generator, dtype=torch.float64)
    for leaf in (mu, logvar):
        leaf.requires_grad_()
    assert torch.autograd.gradcheck(lambda m, v: reparameterize(m, v, noise), (mu, logvar))
    assert torch.autograd.gradcheck(lambda m, v: reparameterize(m, v, noise).pow(3).sum(dim=1), (mu, logvar))
    assert torch.autograd.gradcheck(gaussian_kl, (mu, logvar))
    assert torch.autograd.gradcheck(lambda m, v: free_bits(kl_per_unit(m, v), 0.4), (mu, logvar))


# The linear VAE: p(z) = N(0, I), p(x | z) = N(W z, sigma² I), q(z | x) = N(V x, diag d).

LAMBDA = double(5.0, 3.1, 1.7, 0.9, 0.42, 0.2, 0.05)
SIGMA2 = 0.25
BETAS = [0.4, 1.0, 2.5, 4.5, 9.0, 15.0, 25.0]


def data(n_users: int = 200) -> Tensor:
    """Centred rows [N, I] whose covariance has exactly the eigenvalues LAMBDA."""
    generator = torch.Generator().manual_seed(0)
    draw = torch.randn(n_users, len(LAMBDA), generator=generator, dtype=torch.float64)
    white = torch.linalg.qr(draw - draw.mean(dim=0))[0] * n_users**0.5
    turn = torch.linalg.qr(torch.randn(len(LAMBDA), len(LAMBDA), generator=generator, dtype=torch.float64))[0]
    return white * LAMBDA.sqrt() @ turn.T


def terms(X: Tensor, W: Tensor, V: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
    """D and R in nats a user; the expectation over q is exact."""
    mu = X @ V.T
    error = (X - mu @ W.T).square().sum(dim=1).mean() + (W.square() * logvar.exp()).sum()
    constant = len(LAMBDA) / 2 * math.log(2 * math.pi * SIGMA2)
    return error / (2 * SIGMA2) + constant, gaussian_kl(mu, logvar).mean()


def train(beta: float, n_units: int = len(LAMBDA), seed: int = 0) -> dict:
    X, generator = data(), torch.Generator().manual_seed(seed)
    W = 0.3 * torch.randn(len(LAMBDA), n_units, generator=generator, dtype=torch.float64)
    V = 0.3 * torch.randn(n_units, len(LAMBDA), generator=generator, dtype=torch.float64)
    weights = [each.requires_grad_() for each in (W, V, torch.zeros(n_units, dtype=torch.float64))]
    optimizer = torch.optim.LBFGS(weights, max_iter=3000, tolerance_grad=1e-9, tolerance_change=1e-11,
                                  history_size=20, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        distortion, rate = terms(X, *weights)
        loss = distortion + beta * rate
        loss.backward()
        return loss

    optimizer.step(closure)
    distortion, rate = (term.item() for term in terms(X, *weights))
    return {"D": distortion, "R": rate, "units": active_units((X @ V.T).detach()), "W": W.detach(),
            "V": V.detach(), "d": weights[2].detach().exp()}


def optimum(beta: Tensor, n_units: int = len(LAMBDA)) -> tuple[Tensor, Tensor]:
    """D and R of the closed form, with s = beta sigma²."""
    s, served = beta * SIGMA2, LAMBDA[:n_units]
    R = 0.5 * (served / s).log().clamp(min=0).sum()
    left = served.clamp(max=s).sum() + LAMBDA[n_units:].sum()
    return left / (2 * SIGMA2) + len(LAMBDA) / 2 * math.log(2 * math.pi * SIGMA2), R


@pytest.fixture(scope="module")
def trained() -> dict[float, dict]:
    return {beta: train(beta) for beta in BETAS}


def test_active_units_are_the_eigenvalues_above_beta_sigma2(trained):
    predicted = [int((beta * SIGMA2 < LAMBDA).sum()) for beta in BETAS]
    assert predicted == [6, 5, 4, 3, 2, 1, 0]  # each step of the staircase but the first
    assert [run["units"] for run in trained.values()] == predicted


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_start_does_not_matter(trained, seed):
    run = train(4.5, seed=seed)
    assert run["units"] == trained[4.5]["units"]
    assert (run["D"], run["R"]) == pytest.approx((trained[4.5]["D"], trained[4.5]["R"]), abs=1e-3)


@pytest.mark.parametrize("beta", BETAS)
def test_rate_and_distortion_at_the_optimum(trained, beta):
    D, R = optimum(double(beta))
    assert trained[beta]["R"] == pytest.approx(R.item(), abs=1e-4)
    assert trained[beta]["D"] == pytest.approx(D.item(), abs=2e-4)


def test_beta_and_the_variance_of_the_noise_enter_as_their_product(trained, monkeypatch):
    """sigma² doubled and beta halved keeps the units and the rate."""
    monkeypatch.setattr(f"{__name__}.SIGMA2", 2 * SIGMA2)
    run = train(2.25)
    assert run["units"] == trained[4.5]["units"]
    assert run["R"] == pytest.approx(trained[4.5]["R"], abs=1e-4)


@pytest.mark.parametrize("n_units", [1, 2, 4])
def test_too_few_units_serve_the_largest_eigenvalues(n_units):
    run = train(1.0, n_units=n_units)
    D, R = optimum(double(1.0), n_units)
    assert run["units"] == n_units
    assert (run["D"], run["R"]) == pytest.approx((D.item(), R.item()), abs=1e-4)


def test_what_a_unit_looks_like(trained):
    """w² = lambda - s, d = s / lambda, v = w / lambda; a dead unit is the prior."""
    s, run = 2.5 * SIGMA2, trained[2.5]
    order = run["W"].square().sum(dim=0).argsort(descending=True)
    w2 = (LAMBDA - s).clamp(min=0)
    torch.testing.assert_close(run["W"].square().sum(dim=0)[order], w2, rtol=0, atol=5e-3)
    torch.testing.assert_close(run["d"][order], (s / LAMBDA).clamp(max=1), rtol=0, atol=5e-3)
    v = run["V"].norm(dim=1)[order]
    torch.testing.assert_close(v, w2.sqrt() / LAMBDA, rtol=0, atol=3e-2)  # a root: flat at the dead units


@pytest.mark.parametrize("beta", BETAS[:-1])
def test_the_slope_of_the_closed_form_is_minus_beta(beta):
    dD, dR = (torch.func.grad(lambda b, n=n: optimum(b)[n])(double(beta)[0]) for n in (0, 1))
    assert (dD / dR).item() == pytest.approx(-beta, rel=1e-12)


def test_chords_between_trained_models_lie_between_their_slopes(trained):
    for low, high in itertools.pairwise(BETAS):
        slope = (trained[high]["D"] - trained[low]["D"]) / (trained[high]["R"] - trained[low]["R"])
        assert low < -slope < high


@pytest.mark.parametrize("beta", [0.5, 1.5, 6.0])
def test_the_best_elbo_is_the_best_likelihood_with_noise_s(beta):
    """Step 2 of the pencil box: at s = beta sigma² the bound is tight."""
    s = beta * SIGMA2
    c = LAMBDA.clamp(min=s)
    log_likelihood = -0.5 * (c.log() + LAMBDA / c + math.log(2 * math.pi)).sum()
    D, R = optimum(double(beta)[0])
    constant = len(LAMBDA) / 2 * math.log(2 * math.pi * SIGMA2)
    elbo_at_s = -(D - constant) / beta - len(LAMBDA) / 2 * math.log(2 * math.pi * s) - R
    assert elbo_at_s.item() == pytest.approx(log_likelihood.item(), abs=1e-12)


# E log p - beta KL = beta (E log p / beta - KL): each click counted 1 / beta times.

@pytest.mark.parametrize("times", [1, 2, 5, 40])
def test_a_small_beta_counts_each_click_more_often(times):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 9, generator=generator, dtype=torch.float64)
    mu, logvar = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    histories = [np.array([0, 3, 8]), np.array([5]), np.array([1, 2, 3, 4])]
    once = multinomial_log_likelihood(logits, Bags.from_histories(histories, CPU))
    louder = [history.repeat(times) for history in histories]
    often = multinomial_log_likelihood(logits, Bags.from_histories(louder, CPU))
    rate, beta = gaussian_kl(mu, logvar), 1 / times
    torch.testing.assert_close(elbo(once, rate, beta), beta * elbo(often, rate), rtol=1e-12, atol=1e-12)


# Free bits: sum_g max(floor, 1/B sum_b KL_bg).

KL = double(0.0, 2.0, 0.5, 1.0, 4.0, 0.1).reshape(2, 3)  # means .5, 3, .3


def test_free_bits_clamp_the_mean_of_each_group():
    assert free_bits(KL, 0.75).item() == 0.75 + 3 + 0.75
    per_sample = KL.clamp(min=0.75).mean(dim=0).sum()  # the usual mistakes give other values
    total = KL.sum(dim=1).mean().clamp(min=0.75)
    assert 0.7 > abs(per_sample - 4.5) > 0.1 and abs(total - 4.5) > 0.1


def test_free_bits_of_users_in_the_opposite_order_and_of_bigger_groups():
    assert free_bits(KL.flip(0), 0.75) == free_bits(KL, 0.75)
    as_one = KL.sum(dim=1, keepdim=True)  # all units in one group: 3.8 nats
    assert free_bits(as_one, 0.75).item() == pytest.approx(3.8)
    assert free_bits(as_one, 4.0).item() == 4.0


def test_free_bits_give_no_gradient_below_the_floor():
    kl = KL.clone().requires_grad_()
    free_bits(kl, 0.75).backward()
    assert kl.grad.tolist() == [[0, 0.5, 0], [0, 0.5, 0]]  # 1 / B where it is charged


def test_units_below_the_floor_are_not_pulled_to_the_prior():
    mu, logvar = double(0.1, 2.0).expand(8, 2).clone(), torch.zeros(8, 2, dtype=torch.float64)
    mu.requires_grad_()
    free_bits(kl_per_unit(mu, logvar), 0.5).backward()
    assert (mu.grad[:, 0] == 0).all() and (mu.grad[:, 1] > 0).all()


# Collapse in a recommender.

def small_mvae(split, beta: float, **options):
    return vr.models.MVAE(split.n_items, hidden_dims=(32,), latent_dim=4, beta=beta, **options)


def test_a_huge_beta_collapses_and_the_signs_say_so(world_split):
    held = Bags.from_histories(world_split.test.fold_in, CPU)
    popularity = vr.models.Popularity(world_split.n_items)
    vr.fit(popularity, world_split)
    floor = vr.evaluate(popularity, world_split.test, ks=(20,))["ndcg@20"]
    found = {}
    for beta in (100.0, 0.1):
        model = small_mvae(world_split, beta)
        history = vr.fit(model, world_split, max_epochs=25, batch_size=50, lr=1e-2)
        report = vr.evaluate(model.cpu(), world_split.test, ks=(20,))
        with torch.no_grad():
            mu, _ = model.encode(held)
        found[beta] = active_units(mu), history["rate"].iloc[-1], report
    units, rate, report = found[100.0]
    assert units == 0 and rate < 0.05 and report.alarms
    assert report["ndcg@20"] == pytest.approx(floor, abs=0.03)
    units, rate, report = found[0.1]
    assert units == 4 and rate > 1 and not report.alarms
    assert report["ndcg@20"] > floor + 0.05


class HugeLogvar(vr.models.MVAE):
    """Starts with a log-variance whose exponential does not fit into float32."""

    def reset_parameters(self):
        super().reset_parameters()
        with torch.no_grad():
            self.encoder[-1].bias[self.latent_dim:] = 200.0


@pytest.mark.parametrize("beta", [0.0, 0.2, 1.0])
def test_fit_stops_where_logvar_overflows(world_split, beta):
    model = HugeLogvar(world_split.n_items, hidden_dims=(8,), latent_dim=2, beta=beta)
    with pytest.raises(FloatingPointError, match="the loss became not finite in epoch 0, by step 0"):
        vr.fit(model, world_split, max_epochs=2)


# A user without interactions: nothing to explain, so the loss is beta KL alone.

BAGS = Bags.from_histories([np.array([0, 3, 4]), np.array([], dtype=np.int64), np.array([1, 2])], CPU)
EMPTY = Bags.from_histories([np.array([], dtype=np.int64)], CPU)


@pytest.mark.parametrize("beta", [0.0, 0.2, 1.0])
def test_an_empty_user_adds_beta_times_kl(beta):
    torch.manual_seed(0)
    model = vr.models.MVAE(n_items=6, hidden_dims=(5,), latent_dim=3, dropout=0.0, beta=beta).double()
    torch.manual_seed(1)
    loss, parts = model.loss(BAGS, progress=0.5)
    torch.manual_seed(1)
    mu, logvar = model.encode(BAGS)
    log_likelihood = multinomial_log_likelihood(model.decode(model.sample(mu, logvar)), BAGS)
    rate = gaussian_kl(mu, logvar)
    assert log_likelihood[1] == 0
    each = -log_likelihood + beta * rate  # [3]
    assert each[1] == beta * rate[1]
    torch.testing.assert_close(loss, each.mean())
    loss.backward()
    assert all(weights.grad.isfinite().all() for weights in model.parameters())
    assert parts["rate"] == pytest.approx(rate.mean().item())


def test_a_batch_of_empty_users_only():
    torch.manual_seed(0)
    model = vr.models.MVAE(n_items=6, hidden_dims=(5,), latent_dim=3, beta=0.2)
    loss, parts = model.loss(EMPTY, progress=0.0)
    assert parts["distortion"] == 0
    assert loss.item() == pytest.approx(0.2 * parts["rate"].item())
    loss.backward()
    assert all(weights.grad is None or weights.grad.isfinite().all() for weights in model.parameters())
