"""What the scripts of benchmarks/ build on: the rival transformer, and the shuffles of the sweeps."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from vaerec.batches import Bags

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import beyond_accuracy
import load_large
import sasrec
import svae_batching
import svae_runs

import vaerec as vr

CPU = torch.device("cpu")


@pytest.fixture
def transformer():
    torch.manual_seed(0)
    return sasrec.SASRec(30, width=8, dropout=0.0, targets=3, length=5).double()


def test_pieces_predict_each_successor_once():
    bags = Bags.from_histories([np.arange(12), np.arange(1), np.arange(0), np.arange(20, 26)], CPU)
    pieces = sasrec._pieces(bags, 5)
    parts = [pieces.items[a:b].tolist() for a, b in zip(pieces.offsets[:-1], pieces.offsets[1:])]
    assert parts == [list(range(6)), list(range(5, 11)), [10, 11], [0], [], list(range(20, 26))]


def test_the_transformer_sees_no_future_and_no_padding(transformer):
    transformer.eval()
    items = torch.arange(1, 6)[None]
    changed = items.clone()
    changed[0, 3:] = 0
    before, after = transformer.read(items), transformer.read(changed)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])
    together = transformer.scores([np.arange(3), np.arange(9), np.arange(1)])
    torch.testing.assert_close(together[[0]], transformer.scores([np.arange(3)]))


def test_a_batch_of_the_transformer_is_the_weighted_mean_of_single_users(transformer):
    histories = [np.arange(12), np.arange(20, 24), np.arange(2)]
    loss = transformer.loss(Bags.from_histories(histories, CPU), 0.0)[0]
    alone = [transformer.loss(Bags.from_histories([history], CPU), 0.0)[0] for history in histories]
    assert loss.item() == pytest.approx(sum(a.item() * n for a, n in zip(alone, (11, 3, 1))) / 15)


def test_the_rival_at_batch_size_1_has_the_same_loss_and_gradient():
    torch.manual_seed(0)
    sizes = {"embedding_dim": 5, "rnn_dim": 6, "hidden_dims": (4,), "latent_dim": 3}
    model = vr.models.SVAE(15, **sizes, dropout=0.0).double()
    model.sample = lambda mu, logvar: mu
    history = np.arange(9)
    ours = model.loss(Bags.from_histories([history], CPU), progress=1.0)[0]
    theirs = svae_batching.one_user_loss(model, torch.from_numpy(history))
    for a, b in zip(*(torch.autograd.grad(loss, list(model.parameters())) for loss in (ours, theirs))):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def test_the_floor_counts_what_its_docstring_names():
    per_position = 150 * 3483 + 600 * (256 + 200) + 200 * 150 + 150 * 128 + 64 * 150
    assert svae_batching.multiply_adds(vr.models.SVAE(3483), 1) == 3 * per_position


def test_shuffles_keep_each_user_and_ties_stay_near(world):
    by_user = [sorted(history) for history in world.sequences()]
    mixed = svae_runs.in_any_order(world, seed=0)
    assert [sorted(history) for history in mixed.sequences()] == by_user
    assert any(not np.array_equal(a, b) for a, b in zip(mixed.sequences(), world.sequences()))
    alone = svae_runs.ties_broken_anew(world, np.array([1]), seed=0)
    assert all(np.array_equal(a, b) for a, b in zip(alone.sequences(), world.sequences()))
    pairs = svae_runs.ties_broken_anew(world, np.array([3]), seed=0).sequences()
    moved = [np.abs(np.argsort(a) - np.argsort(b)) for a, b in zip(pairs, world.sequences())]
    assert 0 < max(part.max() for part in moved) <= 2


def test_runs_of_ties_are_counted(world):
    assert svae_runs.runs_of_ties(world).tolist() == [1] * len(world)  # the synthetic clock has no ties


def test_a_penalty_of_zero_changes_nothing_and_a_huge_one_ranks_by_rarity(world_split):
    ease = vr.models.EASE(world_split.n_items)
    vr.fit(ease, world_split)
    histories = world_split.test.fold_in[:3]
    torch.testing.assert_close(beyond_accuracy.Penalized(ease, 0.0).scores(histories), ease.scores(histories))
    scores = beyond_accuracy.Penalized(ease, 1e6).scores(histories)
    watchers = torch.from_numpy(world_split.test.item_counts)[scores.argsort(dim=1, descending=True)]
    assert (watchers.diff(dim=1) >= 0).all()
def test_the_large_log_has_the_shape_that_was_asked_for(tmp_path):
    load_large.generate(tmp_path / "ratings.csv", n_users=300, n_items=200, n_rows=9000)
    log = vr.load(tmp_path / "ratings.csv", **load_large.NAMES)  # refuses duplicates
    assert (log.n_users, log.n_items, len(log)) == (300, 200, 9000)
    assert log.rating.min() == 0.5 and log.rating.max() == 5
    assert (np.diff(log.user) >= 0).all()  # by user, as GroupLens's file


def test_a_large_log_loads_within_its_limits():
    """Under 60 s and 4 GB from CSV to a split, and under 5 s from the cache, as measured on two cores."""
    table = pd.read_csv(load_large.TABLE).set_index("what")
    assert (table["rows"] == 20_000_263).all()
    first, second = table.loc["first load, CSV to split"], table.loc["second load, from the cache"]
    assert first["seconds"] < 60 and table["peak_mb"].max() < 4096
    assert second["seconds"] < 5
    changed = table.loc["load of a changed source"]
    assert changed["seconds"] > second["seconds"]
