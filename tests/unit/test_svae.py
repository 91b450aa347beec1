"""SVAE: padded batches equal batch size 1, streams equal whole histories, and edges are defined."""

import re

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import vaerec as vr
from vaerec.batches import Bags, UserBatches, following
from vaerec.elbo import gaussian_kl, reparameterize

N_ITEMS, BETA, LATENT = 15, 0.3, 3
CPU = torch.device("cpu")


def small(targets=4, cell="gru", **options):
    torch.manual_seed(0)
    options = {"dropout": 0.0, "beta": BETA} | options
    return vr.models.SVAE(N_ITEMS, embedding_dim=5, rnn_dim=6, hidden_dims=(4,), latent_dim=LATENT,
                          targets=targets, cell=cell, **options).double()


def ragged(*lengths, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.integers(N_ITEMS, size=n) for n in lengths]


def plain_loss(model, history, noise):
    """One user, dense one-hot targets, a loop over steps: the mean over the user's T - 1 steps."""
    hidden, _ = model.rnn(model.embedding(torch.from_numpy(history[None, :-1])))
    mu, logvar = model.encoder(hidden[0]).chunk(2, dim=-1)  # [T - 1, L]
    log_pi = F.log_softmax(model.decoder(mu + (logvar / 2).exp() * noise), dim=1)
    total = BETA * gaussian_kl(mu, logvar).sum()
    for t in range(len(history) - 1):
        following = history[t + 1:] if model.targets == "all" else history[t + 1:t + 1 + model.targets]
        target = torch.zeros(N_ITEMS, dtype=torch.float64)
        for item in following:
            target[item] += 1
        total = total - (target * log_pi[t]).sum() / (
            len(following) if model.targets == "all" else model.targets)
    return total / (len(history) - 1)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("targets", [1, 4, "all"])
def test_a_padded_batch_equals_the_weighted_mean_of_single_users(targets, cell):
    model, histories = small(targets, cell), ragged(9, 2, 4, 13, 1, 0, 7)
    steps = [max(0, len(history) - 1) for history in histories]
    noise = torch.randn(sum(steps), LATENT, dtype=torch.float64)
    each = zip(histories, steps, noise.split(steps))
    expected = sum(n * plain_loss(model, history, own) for history, n, own in each if n) / sum(steps)
    expected_gradient = torch.autograd.grad(expected, list(model.parameters()))
    model.sample = lambda mu, logvar: reparameterize(mu, logvar, noise)
    loss, parts = model.loss(Bags.from_histories(histories, CPU), progress=1.0)
    gradient = torch.autograd.grad(loss, list(model.parameters()))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    for ours, theirs in zip(gradient, expected_gradient):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    assert parts["padded"] == pytest.approx(1 - sum(steps) / (len(steps) * max(steps)))
    assert loss.item() == pytest.approx(float(parts["distortion"] + BETA * parts["rate"]))


def test_a_mean_of_means_is_another_gradient():
    """The named wrong way: equal weight for each user, whatever the length of the history."""
    model, histories = small(), ragged(12, 3)
    noise = torch.zeros(13, LATENT, dtype=torch.float64)
    model.sample = lambda mu, logvar: mu
    loss, _ = model.loss(Bags.from_histories(histories, CPU), progress=1.0)
    of_means = sum(plain_loss(model, history, noise[:1] * 0) for history in histories) / 2
    assert abs(loss.item() - of_means.item()) > 1e-3


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_stream_equals_the_whole_history(cell):
    model = small(cell=cell)
    (history,) = ragged(11)
    model.eval()
    state = None
    with torch.no_grad():
        for item in history:
            _, state = model.read(torch.tensor([[item]]), state)
        streamed = model.score_state(state)
    torch.testing.assert_close(streamed, model.scores([history]).double(), rtol=1e-6, atol=1e-6)


def test_scores_do_not_depend_on_who_else_is_scored():
    model = small()
    histories = ragged(*range(90)[::-1], 400)  # lengths of all kinds, longer than any in training
    together = model.scores(histories)
    for row in (0, 20, 85, 90):
        torch.testing.assert_close(together[[row]], model.scores([histories[row]]))
    assert torch.equal(together[89], model.log_popularity.to(together.dtype))  # an empty history


def test_the_order_of_a_history_matters_and_repeats_are_read():
    model = small()
    history = np.array([3, 1, 4, 1, 5])
    assert not torch.allclose(model.scores([history]), model.scores([history[::-1].copy()]))
    assert not torch.allclose(model.scores([history]), model.scores([np.array([3, 1, 4, 5])]))


@pytest.mark.parametrize("histories", [[0, 0], [1], [1, 0, 1]])
def test_a_batch_without_a_step_has_loss_0_and_no_gradient(histories):
    model = small()
    loss, parts = model.loss(Bags.from_histories(ragged(*histories), CPU), progress=0.5)
    assert loss.item() == 0 and parts["padded"] <= 1
    loss.backward()
    assert all(weights.grad is None or not weights.grad.any() for weights in model.parameters())


def test_more_targets_than_are_left_are_those_that_are_left():
    bags = Bags.from_histories(ragged(3), CPU)
    assert following(bags, 1).offsets.tolist() == [0, 1, 2]
    for n in (2, 50, "all"):
        targets = following(bags, n)
        assert targets.offsets.tolist() == [0, 2, 3]
        assert targets.items.tolist() == bags.items[[1, 2, 2]].tolist()


def test_dropout_is_off_when_scoring():
    model = small(dropout=0.5)
    (history,) = ragged(6)
    assert torch.equal(model.scores([history]), model.scores([history]))


@pytest.mark.parametrize("options, message", [
    ({"targets": 0}, "targets=0"), ({"targets": "next"}, "targets='next'"), ({"targets": 1.5}, "targets=1.5"),
    ({"dropout": 1.0}, "dropout=1.0"), ({"cell": "rnn"}, "cell='rnn'"), ({"latent_dim": 0}, "at least 1"),
    ({"beta": -1}, "beta=-1"), ({"beta": "x"}, "beta='x'"), ({"tied": True}, "tied=True")])
def test_wrong_parameters(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        vr.models.SVAE(10, **options)


def test_a_tied_model_is_saved_and_loaded(tmp_path):
    model = vr.models.SVAE(N_ITEMS, embedding_dim=4, rnn_dim=6, hidden_dims=(4,), latent_dim=3, tied=True)
    assert model.decoder[-1].weight is model.embedding.weight
    model.save(tmp_path / "svae.safetensors")
    again = vr.models.SVAE.load(tmp_path / "svae.safetensors")
    assert again.decoder[-1].weight is again.embedding.weight
    assert torch.equal(model.scores(ragged(5)), again.scores(ragged(5)))


def test_batches_of_similar_length_need_little_padding(world_split):
    batches = UserBatches(world_split.train, batch_size=16, seed=0, in_order=True)
    bags = list(batches)
    assert len(bags) == len(batches)
    blocks = sum(part.n_users * int(part.lengths().max()) for part in bags)
    assert 1 - sum(len(part.items) for part in bags) / blocks < 0.1
    histories = world_split.train.sequences()
    got = sorted(tuple(part.items[a:b].tolist()) for part in bags
                 for a, b in zip(part.offsets[:-1], part.offsets[1:]))
    assert got == sorted(tuple(history) for history in histories)  # each user once, oldest first


def test_on_movielens_hardly_any_step_is_padding(ml_1m):
    train = vr.protocols.SACHDEVA_2019(ml_1m).train
    lengths = [part.lengths() - 1 for part in UserBatches(train, 16, seed=0, in_order=True)]
    steps, block = sum(n.sum() for n in lengths), sum(len(n) * n.max() for n in lengths)
    assert steps == len(train) - train.n_users
    assert 1 - steps / block < 0.1


# The proof of chapter 7: where one KL pays for one target, no step beats one fixed distribution.

def random_decoder(n_items, seed):
    """log pi(z)_i on a grid of a one-dimensional z [G, I], and log p(z) dz on it [G]."""
    generator = np.random.default_rng(seed)
    z = np.linspace(-9, 9, 4001)
    logits = np.tanh(np.outer(z, generator.normal(0, 2, 5)) + generator.normal(0, 2, 5)) @ generator.normal(
        0, 2, (5, n_items))
    log_pi = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return z, log_pi, -z**2 / 2 - np.log(2 * np.pi) / 2 + np.log(z[1] - z[0])


@pytest.mark.parametrize("seed", range(5))
def test_a_step_at_beta_1_is_at_most_the_log_of_a_fixed_distribution(seed):
    z, log_pi, log_prior = random_decoder(6, seed)
    fixed = np.logaddexp.reduce(log_prior[:, None] + log_pi, axis=0)  # log of the mean of pi over p(z)
    assert np.exp(fixed).sum() == pytest.approx(1, abs=1e-6)
    generator = np.random.default_rng(seed)
    best = np.full(6, -np.inf)
    for _ in range(300):
        mu, sigma = generator.normal(0, 1.5), generator.uniform(0.05, 2)
        q = np.exp(-((z - mu) / sigma) ** 2 / 2)
        q /= q.sum()
        kl = (mu**2 + sigma**2 - 1 - 2 * np.log(sigma)) / 2
        bound = q @ log_pi - kl  # [I], one for each target
        best = np.maximum(best, bound)
        for k in (1, 2, 4):  # next k: the mean over the targets obeys the mean of the bounds
            targets = generator.integers(6, size=k)
            assert bound[targets].mean() <= fixed[targets].mean() + 1e-9
    assert (best <= fixed + 1e-9).all()
    assert (best > fixed - 1).any()  # it is a bound that some q comes near, not an empty statement


def test_the_popularity_list_is_the_best_that_any_decoder_reaches_at_beta_1():
    """Maximise the bound over all decoders of a world with 3 tastes: nothing beats the shares of clicks."""
    counts = np.array([5.0, 3.0, 1.0, 1.0])
    shares = counts / counts.sum()
    torch.manual_seed(0)
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    prior = torch.log_softmax(torch.randn(3, dtype=torch.float64), dim=0)
    optimizer = torch.optim.LBFGS([logits], max_iter=500, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        fixed = (prior[:, None] + torch.log_softmax(logits, dim=1)).logsumexp(dim=0)  # [I]
        value = -(torch.from_numpy(shares) * fixed).sum()
        value.backward()
        return value

    optimizer.step(loss)
    entropy = -(shares * np.log(shares)).sum()
    assert loss().item() == pytest.approx(entropy, abs=1e-8)


def test_one_kl_for_several_films_has_no_such_bound():
    """MVAE's case: a taste that is paid for once explains all films of a user better than one list."""
    log_pi = np.log([[0.49, 0.49, 0.01, 0.01], [0.01, 0.01, 0.49, 0.49]])  # two tastes, equally likely
    # log of the integral over a product
    of_two = [np.logaddexp.reduce(np.log(0.5) + log_pi[:, pair].sum(axis=1)) for pair in ((0, 1), (2, 3))]
    assert np.mean(of_two) / 2 > np.log(0.25) + 0.1  # a film, against the one list that fits both


def test_at_beta_1_training_ends_in_one_list_for_everybody():
    split = vr.protocols.SACHDEVA_2019(vr.load("synthetic", n_users=400, n_items=200), n_heldout=60)
    sizes = {"embedding_dim": 16, "rnn_dim": 24, "hidden_dims": (16,), "latent_dim": 8}
    model = vr.models.SVAE(split.n_items, **sizes, beta=1.0)
    last = vr.fit(model, split, max_epochs=8).iloc[-1]
    train = UserBatches(split.train, 16, 0, in_order=True)
    targets = following(train.bags, model.targets)
    counts = torch.bincount(targets.items).double()
    counts = counts[counts > 0]
    one_list = -(counts * (counts / counts.sum()).log()).sum() / model.targets / targets.n_users
    assert last["rate"] < 0.05
    assert last["distortion"] == pytest.approx(one_list.item(), abs=0.1)
    assert vr.evaluate(model, split.test, ks=(20,)).alarms
