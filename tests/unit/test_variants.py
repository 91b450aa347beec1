"""benchmarks/variants.py: the search sees validation users alone, and a cut run goes on where it was."""

import sys
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from optuna.distributions import FloatDistribution, IntDistribution

import vaerec as vr
from vaerec.batches import Bags

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import variants
from jobs import Job


@pytest.fixture
def small(monkeypatch, tmp_path, world, world_split):
    """Two models, four trials, one seed, three folds, on the small world."""
    for name in ("TRIALS", "SEEDS", "FOLDS", "PAIRS"):
        monkeypatch.setattr(variants, name, tmp_path / f"{name}.csv")
    monkeypatch.setattr(variants, "BUILD", tmp_path / "build")
    model = variants.Variant(lambda n, dropout: vr.models.MultDAE(n, latent_dim=4, dropout=dropout))
    monkeypatch.setattr(variants, "VARIANTS", {"one": model, "two": model})
    monkeypatch.setattr(variants, "HEADLINES", ())
    monkeypatch.setattr(variants, "CLAIMS", ("one", "EASE"))
    monkeypatch.setattr(variants, "EASES", {"EASE": "LIANG_2018"})
    monkeypatch.setattr(variants, "EASE_SPACE", {"l2": [5, 50, 500, 5000], "recency": []})
    start = {"lr": 5e-3, "epochs": 1, "dropout": 0.5, "weight_decay": 0.0, "batch_size": 100}
    monkeypatch.setattr(variants, "COMMON", start)
    monkeypatch.setattr(variants, "STARTS", (start, start | {"lr": 1e-3}))
    monkeypatch.setitem(variants.SPACE, "epochs", IntDistribution(1, 2))
    monkeypatch.setattr(variants, "N_TRIALS", 4)
    monkeypatch.setattr(variants, "FINAL_SEEDS", range(1, 2))
    monkeypatch.setattr(variants, "N_FOLDS", 3)
    monkeypatch.setattr(variants, "data", lambda protocol: world_split)
    folds = list(vr.protocols.rotating_folds(world, n_folds=3))
    monkeypatch.setattr(variants, "folds", lambda: folds)


def test_a_run_that_is_cut_off_makes_the_same_table(small, tmp_path):
    variants.main()
    seeds, folds = pd.read_csv(variants.SEEDS), pd.read_csv(variants.FOLDS)
    assert len(seeds) == 2 * 2 + 2 + 1  # own and common, then twice the steps; EASE
    assert seeds[seeds["stretch"] == 2]["steps"].eq(2 * 3 * seeds[seeds["stretch"] == 2]["epochs"]).all()
    assert len(folds) == 3 * 2 + 3  # EASE has no second repeat
    whole = variants.TRIALS.read_text().splitlines()
    variants.TRIALS.write_text("\n".join(whole[:-1]) + "\n")
    variants.main()
    dropped = ["seconds", "cpu_seconds"]
    pd.testing.assert_frame_equal(pd.read_csv(variants.TRIALS).drop(columns=dropped),
                                  pd.read_csv(_written(tmp_path / "whole.csv", whole)).drop(columns=dropped))
    variants.pairs()
    pairs = pd.read_csv(variants.PAIRS)
    means = folds.set_index(["variant", "fold", "repeat"])["ndcg@100"]
    expected = [means["one", fold, repeat] - means["EASE", fold, 0]
                for fold in range(3) for repeat in range(2)]
    assert pairs["difference"].tolist() == pytest.approx(expected, abs=2e-6)


def _written(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_search_never_meets_the_test_users(small, monkeypatch, world_split):
    """With their fold-in gone, any look at them would raise."""
    blind = copy(world_split.test)
    for name in ("fold_in", "targets"):
        object.__setattr__(blind, name, None)
    monkeypatch.setattr(variants, "data", lambda protocol: replace(world_split, test=blind))
    row = variants.one_trial("one", 0)
    assert variants.METRIC in row and not {"ndcg@10", "ndcg@100"} & row.keys()
    rows = list(variants.ease_trials("EASE"))
    assert len(rows) == 4 and not {"ndcg@10", "ndcg@100"} & rows[0].keys()


def test_a_run_has_one_worker(tmp_path):
    job = Job(tmp_path / "table.csv", {"variant": "one", "seed": 0}, lambda: [{}])
    with job.claim(tmp_path) as first, job.claim(tmp_path) as second:
        assert (first, second) == (True, False)
    with job.claim(tmp_path) as again:
        assert again


def test_draws_stay_near_and_inside():
    space = FloatDistribution(1e-4, 1e-2, log=True)
    near = variants.around(space, 1e-3)
    assert (near.low, near.high) == pytest.approx((1e-3 / 100**0.2, 1e-3 * 100**0.2))
    assert variants.around(space, 0.0).low == 1e-4  # no penalty at all counts as the smallest
    assert variants.around(IntDistribution(10, 40), 39) == IntDistribution(33, 40)


def test_confidence_one_is_the_plain_gaussian():
    bags = Bags.from_histories([np.array([0, 3]), np.array([1, 2, 4])], torch.device("cpu"))
    losses = []
    for model in (vr.models.MVAE(6, likelihood="gaussian", latent_dim=3, beta=0.2),
                  *(variants.ConfidentGaussian(6, c, latent_dim=3, beta=0.2) for c in (1.0, 9.0))):
        torch.manual_seed(0)
        model.reset_parameters()
        losses.append(model.loss(bags, 0.5)[0].item())
    assert losses[1] == pytest.approx(losses[0]) and losses[2] > losses[0]


def test_the_plain_autoencoder_has_the_layers_of_mvae():
    ours, theirs = variants.plain(20, 0.5), vr.models.MVAE(20)
    shapes = [[tuple(w.shape) for w in model.decoder.parameters()] for model in (ours, theirs)]
    assert shapes[0] == shapes[1] and ours.first.weight.shape == theirs.first.weight.shape
    assert ours.encoder[-1].out_features == theirs.latent_dim
