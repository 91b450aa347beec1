"""Models: scores, recommendations, closed forms, and the MVAE against its plain dense version."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import vaerec as vr
from vaerec.batches import Bags, UserBatches
from vaerec.elbo import Constant, gaussian_kl
from vaerec.models.base import mask_seen


@pytest.fixture(scope="module")
def fitted(world_split):
    model = vr.models.EASE(world_split.n_items, l2=50)
    vr.fit(model, world_split)
    return model


def all_models(n_items):
    return [vr.models.Popularity(n_items), vr.models.Random(n_items), vr.models.EASE(n_items),
            vr.models.MVAE(n_items, hidden_dims=(8,), latent_dim=4)]


@pytest.mark.filterwarnings("ignore:1 of 4 histories hold no item")
@pytest.mark.parametrize("index", range(4))
def test_every_model_scores_ranks_and_answers_an_empty_history(index, world_split):
    model = all_models(world_split.n_items)[index]
    vr.fit(model, world_split, max_epochs=1)
    histories = [*world_split.test.fold_in[:3], np.empty(0, np.int64)]
    scores = model.scores(histories)
    assert scores.shape == (4, world_split.n_items) and torch.isfinite(scores).all()
    counts = torch.from_numpy(world_split.test.item_counts).double()
    torch.testing.assert_close(scores[3].double(), counts.log(), atol=1e-6, rtol=1e-6)
    for _, own in model.recommend([world_split.item_ids[h] for h in histories], k=7,
                                  item_ids=world_split.item_ids).groupby("user"):
        assert own["rank"].tolist() == list(range(1, 8))
        assert own["score"].is_monotonic_decreasing


def test_recommend_never_returns_what_was_seen(fitted, world_split):
    raw = [world_split.item_ids[h] for h in world_split.test.fold_in[:20]]
    table = fitted.recommend(raw, k=50, item_ids=world_split.item_ids)
    for user, own in table.groupby("user"):
        assert not set(own["item"]) & set(raw[user])


def test_many_users_are_served_in_parts(fitted, world_split, monkeypatch):
    raw = [world_split.item_ids[history] for history in world_split.test.fold_in[:23]]
    users = world_split.test.user_ids[:23]
    at_once = fitted.recommend(raw, k=5, item_ids=world_split.item_ids, users=users)
    monkeypatch.setattr(vr.models.base, "CELLS", 10 * world_split.n_items)
    in_parts = fitted.recommend(raw, k=5, item_ids=world_split.item_ids, users=users)
    pd.testing.assert_frame_equal(in_parts, at_once, rtol=1e-5)
    assert fitted.recommend([], k=5, item_ids=world_split.item_ids, users=users[:0]).empty


def test_recommend_agrees_with_scores(fitted, world_split):
    history = world_split.test.fold_in[0]
    scores = mask_seen(fitted.scores([history]), [history])[0]
    table = fitted.recommend([world_split.item_ids[history]], k=5, item_ids=world_split.item_ids)
    best = scores.argsort(descending=True)[:5]
    assert table["item"].tolist() == world_split.item_ids[best].tolist()
    np.testing.assert_allclose(table["score"], scores[best])


def test_a_user_who_saw_nearly_everything_gets_a_short_list(fitted, world_split):
    table = fitted.recommend([world_split.item_ids[:-2]], k=10, item_ids=world_split.item_ids)
    assert sorted(table["item"]) == sorted(world_split.item_ids[-2:])


def test_unknown_items(fitted, world_split):
    known = world_split.item_ids[3]
    with pytest.raises(ValueError, match=r"item -5 \(int\) .* not in the catalogue.*on_unknown='skip'"):
        fitted.recommend([[known, -5]], item_ids=world_split.item_ids)
    skipped = fitted.recommend([[known, -5]], item_ids=world_split.item_ids, on_unknown="skip")
    alone = fitted.recommend([[known]], item_ids=world_split.item_ids)
    assert skipped.equals(alone)
    with pytest.raises(ValueError, match="on_unknown='ignore'"):
        fitted.recommend([[known]], item_ids=world_split.item_ids, on_unknown="ignore")


@pytest.mark.parametrize("item", [-1, 10_000])
def test_scores_refuse_items_outside_the_catalogue(fitted, item):
    with pytest.raises(ValueError, match=f"item {item} is not in"):
        fitted.scores([np.array([0, item])])


def test_k_larger_than_the_catalogue(fitted, world_split):
    with pytest.raises(ValueError, match="the catalogue has"):
        fitted.recommend([[world_split.item_ids[0]]], k=10_000, item_ids=world_split.item_ids)


def test_item_ids_of_another_catalogue(fitted, world_split):
    with pytest.raises(ValueError, match=r"item_ids holds .* pass split\.item_ids"):
        fitted.recommend([[world_split.item_ids[0]]], item_ids=np.append(world_split.item_ids, 9999))


def test_no_histories_at_all(fitted, world_split):
    assert fitted.scores([]).shape == (0, world_split.n_items)


def test_masking_touches_seen_items_only():
    scores = torch.arange(12.0).reshape(2, 6)
    out = mask_seen(scores, [np.array([1, 4]), np.array([], dtype=np.int64)])
    assert torch.isinf(out[0, [1, 4]]).all() and torch.isinf(out).sum() == 2
    assert torch.isfinite(scores).all()  # the input is as it was


def test_random_repeats_itself_but_not_from_user_to_user():
    model = vr.models.Random(50, seed=3)
    histories = [np.array([1]), np.array([2])]
    scores = model.scores(histories)
    assert torch.equal(scores, model.scores(histories))
    assert not torch.equal(scores[0], scores[1])
    assert not torch.equal(scores, vr.models.Random(50, seed=4).scores(histories))
    assert torch.equal(scores[1:], model.scores(histories[1:]))  # whoever else is in the batch


def test_ease_solves_its_optimisation_problem(fitted, world_split):
    """At the constrained minimum the gradient vanishes off the diagonal."""
    x = torch.from_numpy(world_split.train.to_csr().toarray()).double()
    weights = fitted.weights.double()
    gradient = x.T @ (x @ weights - x) + 50 * weights
    gradient.fill_diagonal_(0)
    assert weights.diagonal().abs().max() == 0
    assert gradient.abs().max() < 1e-4 * (x.T @ x).abs().max()


def test_recency_weighs_the_newest_item_most(world_split):
    model = vr.models.EASE(world_split.n_items, l2=50, recency=0.5)
    vr.fit(model, world_split)
    old, new = 3, 8
    expected = 0.5 * model.weights[old] + model.weights[new]
    torch.testing.assert_close(model.scores([np.array([old, new])])[0], expected)


@pytest.mark.parametrize("options, message", [
    ({"l2": 0}, "l2=0"), ({"recency": 0}, "recency=0"), ({"recency": 1.5}, "recency=1.5")])
def test_wrong_parameters_of_ease(options, message):
    with pytest.raises(ValueError, match=message):
        vr.models.EASE(10, **options)


@pytest.mark.parametrize("options, message", [
    ({"latent_dim": 0}, "latent_dim=0"), ({"hidden_dims": ()}, "at least one hidden layer"),
    ({"hidden_dims": (4, 0)}, "positive sizes"), ({"decoder_dims": (0,)}, "decoder_dims=(0,)"),
    ({"likelihood": "poisson"}, "likelihood='poisson'"), ({"beta": "high"}, "beta='high'"),
    ({"beta": -0.1}, "beta=-0.1"), ({"dropout": 1.0}, "dropout=1.0")])
def test_wrong_parameters_of_mvae(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        vr.models.MVAE(10, **options)


def test_an_empty_catalogue_is_refused():
    with pytest.raises(ValueError, match="n_items=0"):
        vr.models.Popularity(0)


def dense_mvae_loss(model, x, noise, beta):
    """Liang et al. 2018 written plainly: dense rows in, log-softmax times the row out."""
    hidden = nn.functional.normalize(x, dim=1) @ model.first.weight + model.first.bias
    mu, logvar = model.encoder(hidden.tanh()).chunk(2, dim=1)
    logits = model.decoder(mu + (0.5 * logvar).exp() * noise)
    log_likelihood = (nn.functional.log_softmax(logits, dim=1) * x).sum(dim=1)
    return (-log_likelihood + beta * gaussian_kl(mu, logvar)).mean()


@pytest.mark.parametrize("hidden_dims", [(7,), (9, 6)])
def test_mvae_equals_its_dense_version_in_value_and_gradient(hidden_dims):
    n_items, beta = 15, 0.3
    torch.manual_seed(0)
    model = vr.models.MVAE(n_items, hidden_dims, latent_dim=4, dropout=0.0, beta=Constant(beta)).double()
    histories = [np.array([0, 3, 14]), np.array([5]), np.arange(15)]
    bags = Bags.from_histories(histories, torch.device("cpu"))
    x = torch.zeros(3, n_items, dtype=torch.float64)
    for row, history in zip(x, histories):
        row[history] = 1
    torch.manual_seed(1)
    noise = torch.randn(3, 4, dtype=torch.float64)
    dense = dense_mvae_loss(model, x, noise, beta)
    expected = torch.autograd.grad(dense, list(model.parameters()))
    torch.manual_seed(1)  # the same noise is drawn inside
    loss, _ = model.loss(bags, progress=1.0)
    gradient = torch.autograd.grad(loss, list(model.parameters()))
    assert loss.item() == pytest.approx(dense.item(), rel=1e-12)
    for ours, theirs in zip(gradient, expected):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_mvae_scores_are_logits_at_the_posterior_mean():
    model = vr.models.MVAE(12, hidden_dims=(5,), latent_dim=3)
    histories = [np.array([2, 7]), np.array([11])]
    bags = Bags.from_histories(histories, torch.device("cpu"))
    model.eval()
    with torch.no_grad():
        expected = model.decode(model.encode(bags)[0])
    torch.testing.assert_close(model.scores(histories), expected)
    assert torch.equal(model.scores(histories), model.scores(histories))


def test_dropout_hides_items_in_training_and_none_in_scoring():
    model = vr.models.MVAE(12, hidden_dims=(5,), latent_dim=3, dropout=0.5)
    bags = Bags.from_histories([np.arange(12)], torch.device("cpu"))
    model.train()
    assert not torch.equal(model.encode(bags)[0], model.encode(bags)[0])
    model.eval()
    assert torch.equal(model.encode(bags)[0], model.encode(bags)[0])


def test_bags_select_users_in_any_order():
    histories = [np.array([4, 5]), np.array([], dtype=np.int64), np.array([1, 2, 3])]
    bags = Bags.from_histories(histories, torch.device("cpu")).select(torch.tensor([2, 1, 0]))
    assert bags.items.tolist() == [1, 2, 3, 4, 5]
    assert bags.offsets.tolist() == [0, 3, 3, 5]
    assert bags.user().tolist() == [0, 0, 0, 2, 2]


def test_an_epoch_visits_every_user_once_in_an_order_of_its_own(world_split):
    batches = UserBatches(world_split.train, batch_size=50, seed=0)
    csr = world_split.train.to_csr()
    epochs = []
    for batches.epoch in (0, 0, 1):
        bags = list(batches)
        assert len(bags) == len(batches)
        epochs.append(torch.cat([b.items for b in bags]).tolist())
    assert epochs[0] == epochs[1] != epochs[2]
    assert sorted(epochs[0]) == sorted(epochs[2]) == sorted(csr.indices)


class Unfinished(vr.models.TopNRecommender):
    """A reader's first try: no way to learn."""


def test_what_cannot_be_fitted_says_what_is_missing(world, world_split):
    with pytest.raises(TypeError, match="fit got .*expected a Split: make one by a protocol"):
        vr.fit(vr.models.MVAE(world.n_items), world)
    with pytest.raises(NotImplementedError, match="Unfinished cannot be fitted: write loss.*: pass`"):
        vr.fit(Unfinished(world_split.n_items), world_split)


def test_what_follows_cannot_be_learned_from_users_of_one_item(world_split):
    first = np.unique(world_split.train.user, return_index=True)[1]
    rows = np.isin(np.arange(len(world_split.train)), first)
    lonely = world_split.train.select(rows)
    split = replace(world_split, train=lonely)
    with pytest.raises(ValueError, match=r"SVAE learns what follows an item, .*filter\(min_user_items=2\)"):
        vr.fit(vr.models.SVAE(split.n_items), split)
