"""Autoencoders against their plain dense versions, against PCA, and the formulas of chapter 3.

Names follow the chapter: rows X [U, I], encoder W [I, L], decoder V [L, I], Gram matrix G = X'X,
right singular vectors Q, a free matrix B [I, I], dropout p.
"""

import itertools
import re

import numpy as np
import pytest
import torch
from torch import nn

import vaerec as vr
from vaerec.batches import Bags
from vaerec.likelihoods import LIKELIHOODS
from vaerec.models.layers import BagLinear, decoded_log_likelihood, draw_weights, tanh_layers

CPU = torch.device("cpu")


def rows_and_bags(n_users=40, n_items=10, seed=0, empty=False):
    """0/1 rows of full column rank, float64 [U, I], and the same users as bags."""
    torch.manual_seed(seed)
    x = (torch.rand(n_users, n_items) < torch.linspace(0.2, 0.7, n_items)).double()
    x[:n_items] += torch.eye(n_items, dtype=torch.float64)
    x = x.clamp(max=1)
    if empty:
        x[3] = 0
    assert torch.linalg.matrix_rank(x) == n_items
    return x, Bags.from_histories([row.nonzero()[:, 0].numpy() for row in x], CPU)


def leading(x, size):
    """Q_L: the right singular vectors of the largest singular values, [I, L]."""
    return torch.linalg.svd(x, full_matrices=False)[2][:size].T


# --- the layer ---

@pytest.mark.parametrize("normalize", [False, True])
def test_bag_linear_equals_the_dense_layer_also_for_an_empty_history(normalize):
    x, bags = rows_and_bags(empty=True)
    layer = BagLinear(10, 4, dropout=0.5, normalize=normalize).double().eval()
    draw_weights(layer)
    dense = nn.functional.normalize(x, dim=1) if normalize else x
    expected = nn.functional.linear(dense, layer.weight.T, layer.bias)
    torch.testing.assert_close(layer(bags), expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(layer(bags)[3], layer.bias)
    weights = torch.randn(expected.shape, dtype=torch.float64)
    for output in (layer(bags), expected):
        output.backward(weights)
    assert all(own.grad.isfinite().all() for own in layer.parameters())


@pytest.mark.parametrize("normalize", [False, True])
def test_bag_linear_hides_items_and_rescales_the_others(normalize):
    """With the identity as weights the output is the noisy row itself."""
    x, bags = rows_and_bags(n_users=4000, empty=True)
    p = 0.3
    read = BagLinear(10, 10, dropout=p, normalize=normalize).double().train()
    layer = BagLinear(10, 4, dropout=p, normalize=normalize).double().train()
    draw_weights(layer)
    with torch.no_grad():
        read.weight.copy_(torch.eye(10))
        read.bias.zero_()
    torch.manual_seed(1)
    noisy = read(bags)
    torch.manual_seed(1)  # the same items are hidden
    torch.testing.assert_close(layer(bags), noisy @ layer.weight + layer.bias, rtol=1e-12, atol=1e-12)
    full = nn.functional.normalize(x, dim=1) if normalize else x
    kept = noisy != 0
    torch.testing.assert_close(noisy, torch.where(kept, full / (1 - p), 0))
    share = 1 - kept.sum() / x.sum()
    n = x.sum().item()
    assert share.item() == pytest.approx(p, abs=4 * (p * (1 - p) / n) ** 0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bag_linear_has_the_gradients_of_pytorchs_own_layer(dtype):
    """Also where an item stands twice in a history."""
    _, bags = rows_and_bags(n_users=300, empty=True)
    bags = Bags.concatenate([bags, Bags.from_histories([np.array([7, 2, 7, 7])], CPU)])
    layer = BagLinear(10, 4, dropout=0.5, normalize=True).to(dtype).train()
    draw_weights(layer)
    torch.manual_seed(0)
    ours = layer(bags)
    torch.manual_seed(0)
    value = nn.functional.dropout(bags.lengths().to(dtype).rsqrt()[bags.user()], 0.5)
    theirs = layer.bias + nn.functional.embedding_bag(
        bags.items, layer.weight, bags.offsets, mode="sum", per_sample_weights=value,
        include_last_offset=True)
    assert torch.equal(ours, theirs)
    weights = torch.randn(ours.shape, dtype=dtype)
    gradients = [torch.autograd.grad(output, list(layer.parameters()), weights) for output in (ours, theirs)]
    for own, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(own, expected)


@pytest.mark.parametrize("histories", [[[], []], [[3]], []], ids=["empty", "one film", "no users"])
def test_bag_linear_trains_on_next_to_nothing(histories):
    bags = Bags.from_histories([np.array(films, dtype=np.int64) for films in histories], CPU)
    layer = BagLinear(10, 4, dropout=0.9, normalize=True).train()
    draw_weights(layer)
    for _ in range(20):  # the film is hidden in most of them
        layer(bags).sum().backward()
    assert layer.weight.grad.shape == (10, 4) and layer.weight.grad.isfinite().all()
    assert (layer.weight.grad[[0, 1, 2, *range(4, 10)]] == 0).all()


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_log_likelihood_of_a_decoder_is_that_of_its_outputs(likelihood):
    x, bags = rows_and_bags(empty=True)
    torch.manual_seed(0)
    decoder = tanh_layers([3, 5, 10]).double()
    z = torch.randn(len(x), 3, dtype=torch.float64, requires_grad=True)
    inputs = [z, *decoder.parameters()]
    ours = decoded_log_likelihood(decoder, z, bags, likelihood)
    plain = LIKELIHOODS[likelihood](decoder(z), bags).sum()
    assert ours.item() == pytest.approx(plain.item(), rel=1e-12)
    for a, b in zip(torch.autograd.grad(ours, inputs), torch.autograd.grad(plain, inputs)):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


# --- the models against plain dense versions ---

def dense_loss(x, W, b, V, c, l2):
    """Liang et al. 2018 written plainly: the Mult-DAE formula of chapter 3, without dropout."""
    z = torch.tanh(nn.functional.normalize(x, dim=1) @ W + b)
    log_pi = torch.log_softmax(z @ V + c, dim=1)
    return -(x * log_pi).sum(dim=1).mean() + l2 * (W.square().sum() + V.square().sum())


@pytest.mark.parametrize("l2", [0.0, 0.01 / 500, 0.3])
def test_mult_dae_equals_its_dense_version_in_value_and_gradient(l2):
    x, bags = rows_and_bags()
    torch.manual_seed(0)
    model = vr.models.MultDAE(10, latent_dim=4, dropout=0.0, l2=l2).double()
    W, b, V, c = (own.detach().clone() for own in model.parameters())
    V = V.T.contiguous()
    plain = [own.requires_grad_() for own in (W, b, V, c)]
    expected = dense_loss(x, *plain, l2)
    ours, parts = model.loss(bags, progress=0.0)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-12)
    assert parts["distortion"].item() == pytest.approx(dense_loss(x, *plain, 0.0).item(), rel=1e-12)
    ours.backward()
    expected.backward()
    for own, there in zip(model.parameters(), (W.grad, b.grad, V.grad.T, c.grad)):
        torch.testing.assert_close(own.grad, there, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("hidden_dims", [(), (7,), (8, 6)])
def test_autoencoder_equals_its_dense_version(hidden_dims, likelihood):
    x, bags = rows_and_bags()
    torch.manual_seed(0)
    model = vr.models.Autoencoder(10, hidden_dims, latent_dim=3, l2=0.1, likelihood=likelihood).double()
    hidden = x @ model.first.weight + model.first.bias
    widths = [*hidden_dims, 3]
    for layer in model.encoder:
        if isinstance(layer, nn.Linear):
            hidden = layer(hidden.tanh())
    assert hidden.shape == (40, widths[-1])
    torch.testing.assert_close(model.encode(bags), hidden)
    f = model.decode(hidden)
    log_likelihood = {
        "gaussian": -0.5 * (x - f).square().sum(dim=1),
        "multinomial": (x * f.log_softmax(dim=1)).sum(dim=1),
        "bernoulli": -nn.functional.binary_cross_entropy_with_logits(f, x, reduction="none").sum(dim=1),
    }[likelihood]
    weights = [own for name, own in model.named_parameters() if name.endswith("weight")]
    assert len(weights) == 2 * len(widths)
    penalty = 0.1 * sum(own.square().sum() for own in weights)
    loss, _ = model.loss(bags, progress=0.0)
    torch.testing.assert_close(loss, -log_likelihood.mean() + penalty, rtol=1e-12, atol=1e-12)


def test_the_penalty_is_on_weights_and_not_on_biases():
    _, bags = rows_and_bags()
    model = vr.models.MultDAE(10, latent_dim=4, dropout=0.0, l2=0.7).double()
    loss, parts = model.loss(bags, progress=0.0)
    weights = model.first.weight.square().sum() + model.decoder[0].weight.square().sum()
    torch.testing.assert_close(loss - parts["distortion"], 0.7 * weights)
    with torch.no_grad():
        model.first.bias += 3
        model.decoder[0].bias -= 2
    loss, parts = model.loss(bags, progress=0.0)
    torch.testing.assert_close(loss - parts["distortion"], 0.7 * weights)


def test_scores_are_the_outputs_without_dropout():
    x, bags = rows_and_bags()
    model = vr.models.MultDAE(10, latent_dim=4, dropout=0.5)
    model.train()
    with torch.no_grad():
        assert not torch.equal(model.encode(bags), model.encode(bags))
    histories = [row.nonzero()[:, 0].numpy() for row in x]
    scores = model.scores(histories)  # switches to eval mode
    with torch.no_grad():
        torch.testing.assert_close(scores, model.decode(model.encode(bags)))
    assert torch.equal(scores, model.scores(histories))


def test_a_user_without_items_costs_only_what_the_likelihood_says():
    _, bags = rows_and_bags(empty=True)
    alone = Bags(bags.items[:0], torch.zeros(2, dtype=torch.int64))
    model = vr.models.MultDAE(10, latent_dim=4, dropout=0.0, l2=0.0)
    loss, _ = model.loss(alone, progress=0.0)
    assert loss.item() == 0
    loss, _ = model.loss(bags, progress=0.0)
    loss.backward()
    assert all(own.grad.isfinite().all() for own in model.parameters())


# --- min ||X - X W V||² gives W V = Q_L Q_L' ---

def trained_to_the_end(model, bags, biases):
    """Full-batch L-BFGS until the gradient is gone."""
    free = [own for name, own in model.named_parameters() if biases or name.endswith("weight")]
    optimizer = torch.optim.LBFGS(free, max_iter=5000, tolerance_grad=1e-12, tolerance_change=1e-15,
                                  history_size=50, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss, _ = model.loss(bags, progress=0.0)
        loss.backward()
        return loss

    optimizer.step(closure)
    return model.first.weight.detach(), model.decoder[0].weight.detach().T  # W [I, L], V [L, I]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("biases", [False, True])
def test_a_trained_linear_autoencoder_is_the_projector(seed, biases):
    """Without biases truncated SVD, with biases PCA of the centred rows; weights differ by seed."""
    x, bags = rows_and_bags()
    torch.manual_seed(seed)
    model = vr.models.Autoencoder(10, latent_dim=3).double()
    with torch.no_grad():
        model.first.bias.zero_()
        model.decoder[0].bias.zero_()
    W, V = trained_to_the_end(model, bags, biases)
    mean = x.mean(dim=0) if biases else torch.zeros(10, dtype=torch.float64)
    q = leading(x - mean, 3)
    torch.testing.assert_close(W @ V, q @ q.T, rtol=0, atol=1e-5)
    assert (W - q).abs().max() > 0.1  # the weights are in another basis
    model.eval()
    with torch.no_grad():
        rebuilt = model.decode(model.encode(bags))
    torch.testing.assert_close(rebuilt, mean + (x - mean) @ q @ q.T, rtol=0, atol=1e-5)


def test_the_loss_at_the_projector_is_half_of_the_squares_left():
    x, bags = rows_and_bags()
    q, mean = leading(x - x.mean(dim=0), 3), x.mean(dim=0)
    model = vr.models.Autoencoder(10, latent_dim=3).double()
    A = torch.tensor([[2.0, 1, 0], [0, -1, 0.5], [0, 0, 3]], dtype=torch.float64)  # any invertible matrix
    with torch.no_grad():
        model.first.weight.copy_(q @ A)
        model.first.bias.copy_(-mean @ q @ A)
        model.decoder[0].weight.copy_((torch.linalg.inv(A) @ q.T).T)
        model.decoder[0].bias.copy_(mean)
    loss, _ = model.loss(bags, progress=0.0)
    left = torch.linalg.svdvals(x - mean)[3:].square().sum()
    assert loss.item() == pytest.approx(0.5 * left.item() / len(x), rel=1e-12)
    loss.backward()
    assert max(own.grad.abs().max().item() for own in model.parameters()) < 1e-12


def test_only_orthogonal_matrices_keep_tied_halves_tied():
    x, _ = rows_and_bags()
    W = leading(x, 3)
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    torch.testing.assert_close(turn.inverse() @ W.T, (W @ turn).T)
    stretch = torch.diag(torch.tensor([1.0, 2, 3], dtype=torch.float64))
    assert not torch.allclose(stretch.inverse() @ W.T, (W @ stretch).T)


# --- a free B, and EASE ---

def test_the_ridge_solution_tends_to_the_identity_and_ease_does_not():
    x, _ = rows_and_bags()
    G, eye = x.T @ x, torch.eye(10, dtype=torch.float64)
    for penalty in (10.0, 1.0, 1e-9):
        B = torch.linalg.solve(G + penalty * eye, G)
        gradient = x.T @ (x @ B - x) + penalty * B
        torch.testing.assert_close(gradient, torch.zeros_like(B), rtol=0, atol=1e-10)
    torch.testing.assert_close(B, eye, rtol=0, atol=1e-8)
    P = torch.linalg.inv(G + 1e-9 * eye)
    ease = -P / P.diagonal()
    ease.fill_diagonal_(0)
    assert ease.abs().max() > 0.05  # finite and not zero: erasing the identity's diagonal leaves nothing
    assert torch.linalg.matrix_rank(ease) == 10


def test_with_a_singular_gram_matrix_the_limit_is_the_projector_onto_the_rows():
    x, _ = rows_and_bags()
    x[:, 9] = x[:, 8]
    B = torch.linalg.solve(x.T @ x + 1e-9 * torch.eye(10, dtype=torch.float64), x.T @ x)
    q = leading(x, 9)
    torch.testing.assert_close(B, q @ q.T, rtol=0, atol=1e-6)


# --- input dropout is a ridge ---

def expected_error(x, B, p):
    """E ||X - noisy X B||² over all 2^I masks of one mask for all users: sums and means commute."""
    masks = torch.tensor(list(itertools.product((0.0, 1.0), repeat=x.shape[1])), dtype=torch.float64)
    chance = ((1 - p) ** masks * p ** (1 - masks)).prod(dim=1)
    noisy = masks[:, None] * x / (1 - p)
    return chance @ (x - noisy @ B).square().sum(dim=(1, 2))


def ridge_error(x, B, p):
    n = x.sum(dim=0)  # viewers of each film
    return (x - x @ B).square().sum() + p / (1 - p) * (n * B.square().sum(dim=1)).sum()


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_dropout_is_a_ridge_weighted_by_popularity(p):
    x, _ = rows_and_bags(n_users=15, n_items=6)
    torch.manual_seed(2)
    B = torch.randn(6, 6, dtype=torch.float64)
    torch.testing.assert_close(expected_error(x, B, p), ridge_error(x, B, p), rtol=1e-12, atol=0)


def test_the_noise_of_the_layer_costs_what_the_ridge_says():
    """The same by Monte Carlo through BagLinear in train mode, the layer that the models use."""
    x, bags = rows_and_bags(n_users=15, n_items=6)
    p, n_draws = 0.5, 4000
    layer = BagLinear(6, 6, dropout=p, normalize=False).double().train()
    torch.manual_seed(2)
    draw_weights(layer)
    with torch.no_grad():
        layer.bias.zero_()
        errors = torch.stack([(x - layer(bags)).square().sum() for _ in range(n_draws)])
        exact = ridge_error(x, layer.weight, p)
    assert abs(errors.mean() - exact) < 4 * errors.std() / n_draws**0.5


@pytest.mark.parametrize("p", [0.001, 0.5, 0.9])
def test_the_dropout_solution_still_copies(p):
    x, _ = rows_and_bags()
    x[:, 0] = 0
    x = torch.cat([x, torch.eye(10, dtype=torch.float64)[:1].expand(7, 10)])  # film 0: seen alone only
    G = x.T @ x
    D, kappa = torch.diag(G.diagonal()), p / (1 - p)
    B = torch.linalg.solve(G + kappa * D, G).requires_grad_()
    (gradient,) = torch.autograd.grad(ridge_error(x, B, p), B)
    assert gradient.abs().max() < 1e-10
    assert (B.diagonal() > 0).all()
    assert B[0, 0].item() == pytest.approx(1 - p)  # a film that goes with no other copies itself
    chapter = torch.eye(10) - kappa * torch.linalg.inv(G + kappa * D) * G.diagonal()
    torch.testing.assert_close(chapter, B.detach(), check_dtype=False)
    if p == 0.001:
        torch.testing.assert_close(B.detach(), torch.eye(10, dtype=torch.float64), rtol=0, atol=0.02)


# --- as recommenders ---

@pytest.mark.parametrize("make", [
    lambda n: vr.models.MultDAE(n, latent_dim=24),
    lambda n: vr.models.Autoencoder(n, (32,), latent_dim=12, dropout=0.5, likelihood="multinomial",
                                    normalize=True),
    lambda n: vr.models.Autoencoder(n, latent_dim=4)])
def test_autoencoders_learn(make, world_split):
    model, popularity = make(world_split.n_items), vr.models.Popularity(world_split.n_items)
    untrained = vr.evaluate(model, world_split.test, ks=(100,))["ndcg@100"]
    history = vr.fit(model, world_split, max_epochs=30, batch_size=50, lr=3e-3)
    vr.fit(popularity, world_split)
    ours, theirs = (vr.evaluate(rival, world_split.test, ks=(100,)) for rival in (model, popularity))
    assert vr.compare(ours, theirs, "ndcg@100").low > 0
    assert ours["ndcg@100"] > untrained + 0.1
    # lists of 100 out of 200 items overlap in any case
    assert vr.evaluate(model, world_split.test, ks=(10,)).alarms == ()
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert {"loss", "distortion"} <= set(history)


@pytest.mark.parametrize("make", [
    lambda n: vr.models.MultDAE(n, latent_dim=5, dropout=0.3, l2=0.01),
    lambda n: vr.models.Autoencoder(n, (7, 6), latent_dim=3, dropout=0.1, l2=0.2, likelihood="bernoulli",
                                    normalize=True)])
def test_a_saved_autoencoder_scores_as_before(make, world_split, tmp_path):
    model = make(world_split.n_items)
    vr.fit(model, world_split, max_epochs=1)
    model.save(tmp_path / "model")
    again = type(model).load(tmp_path / "model")
    assert again.hyper_parameters() == model.hyper_parameters()
    histories = [*world_split.test.fold_in[:4], np.empty(0, np.int64)]
    assert torch.equal(again.scores(histories), model.scores(histories))


def test_a_seed_fixes_the_run(world_split):
    weights = []
    for seed in (0, 0, 1):
        model = vr.models.MultDAE(world_split.n_items, latent_dim=5)
        vr.fit(model, world_split, max_epochs=2, batch_size=100, seed=seed)
        weights.append(model.first.weight.detach())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("options, message", [
    ({"latent_dim": 0}, "latent_dim=0"), ({"hidden_dims": (4, -1)}, "hidden_dims=(4, -1)"),
    ({"l2": -0.1}, "l2=-0.1"), ({"l2": float("nan")}, "l2=nan"), ({"l2": float("inf")}, "l2=inf"),
    ({"dropout": 1.0}, "dropout=1.0"), ({"dropout": -0.2}, "dropout=-0.2"),
    ({"likelihood": "poisson"}, "likelihood='poisson'")])
def test_wrong_parameters_of_an_autoencoder(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        vr.models.Autoencoder(10, **options)


@pytest.mark.parametrize("options, message", [
    ({"latent_dim": -3}, "latent_dim=-3"), ({"dropout": 1.5}, "dropout=1.5"), ({"l2": -1}, "l2=-1")])
def test_wrong_parameters_of_mult_dae(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        vr.models.MultDAE(10, **options)


def test_the_settings_of_the_paper_are_the_defaults():
    model = vr.models.MultDAE(30)
    assert model.hyper_parameters() == {"n_items": 30, "latent_dim": 200, "dropout": 0.5, "l2": 0.01 / 500}
    assert model.likelihood == "multinomial" and model.normalize
    assert [tuple(own.shape) for own in model.parameters()] == [(30, 200), (200,), (30, 200), (30,)]
