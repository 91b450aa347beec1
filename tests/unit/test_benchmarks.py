"""What the scripts of benchmarks/ build on: rivals, floors, and the shuffles of the sweeps."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from vaerec.batches import Bags

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import beyond_accuracy
import load_large
import processes
import rivals
import sasrec
import scaling
import step_costs
import svae_batching
import svae_runs
import sweep

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


def test_the_first_call_warms_up_and_of_the_others_the_fastest_counts(monkeypatch):
    clock = iter([0.0, 0.001, 0.0, 0.005, 0.0, 0.003])
    monkeypatch.setattr(step_costs.time, "process_time", lambda: next(clock))
    assert step_costs.milliseconds({"part": lambda: None}, rounds=2) == {"part": pytest.approx(3)}


@pytest.mark.parametrize("low", [False, True])
def test_the_parts_of_a_step_can_be_repeated(low):
    actions = step_costs.parts(3, 200, torch.autocast("cpu", torch.bfloat16, enabled=low))
    assert list(actions) == ["adam", "gather", "hidden", "output", "step"]
    for action in [*actions.values(), *actions.values()]:
        action()


@pytest.mark.parametrize("n_items", [30, 3483])
def test_the_floor_of_mvae_counts_three_products_a_linear_layer_and_two_for_a_dense_row(n_items):
    model = vr.models.MVAE(n_items)
    linear = sum(layer.weight.numel() for layer in model.modules() if isinstance(layer, torch.nn.Linear))
    assert rivals.multiply_adds(n_items, dense_encoder=False) == 3 * linear
    assert rivals.multiply_adds(n_items, dense_encoder=True) == 3 * linear + 2 * model.first.weight.numel()


def pairs(folder: Path, part: str) -> set[tuple[int, int]]:
    return set(map(tuple, rivals.measuring.read_pairs(folder / f"{folder.name}.{part}.inter").tolist()))


@pytest.mark.process
def test_a_childs_peak_of_memory_is_its_own():
    large = np.ones(2**27)  # 1 GB, all of it written
    code = "import measuring; print(measuring.peak_mb())"
    done = subprocess.run([sys.executable, "-c", code], cwd=rivals.WORKERS, capture_output=True, text=True,
                          check=True)
    assert 50 < float(done.stdout) < rivals.measuring.peak_mb() - large.nbytes / 2**20 / 2


def test_rivals_are_handed_all_pairs_but_the_targets_for_training(world_split, tmp_path):
    rivals.hand_over(world_split, tmp_path / "handed")
    train, valid, test = (pairs(tmp_path / "handed", part) for part in ("train", "valid", "test"))
    shown = world_split.describe()["shown"].sum()
    assert len(train) == shown and not train & (valid | test)
    first_test = world_split.train.n_users + len(world_split.validation.targets)
    hidden = {first_test + user: set(items.tolist()) for user, items in enumerate(world_split.test.targets)}
    assert test == {(user, item) for user, items in hidden.items() for item in items}
    own = world_split.test.fold_in[3]
    assert {item for user, item in train if user == first_test + 3} == set(own.tolist())
    log = rivals.joined(world_split).train
    assert set(zip(log.user.tolist(), log.item.tolist())) == train


def test_scores_that_a_worker_left_get_the_metrics_of_the_model_that_made_them(world_split, tmp_path):
    ease = vr.models.EASE(world_split.n_items)
    vr.fit(ease, world_split)
    scores = ease.scores(rivals.scored_users(world_split)).numpy()
    rivals.measuring.write(tmp_path, scores, training=6.0, evaluation=0.5, peak_mb=9.0, rate=1e9)
    found = json.loads((tmp_path / "result.json").read_text()) | {"scores": np.load(tmp_path / "scores.npy")}
    row = rivals.as_row(found, world_split, epochs=2, rival=False, joined=False)
    assert row["ndcg@100"] == pytest.approx(vr.evaluate(ease, world_split.test)["ndcg@100"])
    assert row["epoch_seconds"] == 3.0
    rival = rivals.as_row(found, world_split, epochs=2, rival=True, joined=True)
    n = world_split.train.n_users
    assert rival["epoch_seconds"] == pytest.approx(3 * n / (n + 120))
    assert rival["floor_seconds"] > row["floor_seconds"]


def test_the_table_compares_with_the_faster_rival():
    row = {"epoch_seconds": 1.0, "step_seconds": None, "floor_seconds": 0.5, "evaluation_seconds": 1.0}
    slow, fast = (row | {"epoch_seconds": seconds} for seconds in (6.0, 4.0))
    names = list(rivals.RIVALS.values())
    table = rivals.as_table({"ours": row | {"step_seconds": 0.75}, names[0]: fast, names[1]: slow}, names)
    assert table["epoch_times_faster"].tolist() == [4, 1, pytest.approx(4 / 6)]
    assert table["epoch_times_cornac"].tolist() == [6, 1.5, 1]
    assert table.loc["ours", ["epoch_over_floor", "step_over_floor"]].tolist() == [2, 1.5]


def test_a_run_replaces_the_rows_of_its_own_processor_and_threads():
    old = pd.DataFrame({"processor": ["A", "A", "B"], "threads": [1, 2, 1], "epoch_seconds": [1.0, 2.0, 3.0]})
    new = pd.DataFrame({"processor": ["A"], "threads": [1], "epoch_seconds": [9.0]})
    assert rivals.merged(new, old)["epoch_seconds"].tolist() == [2, 3, 9]


def test_the_processor_is_named_as_linux_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr(rivals, "CPUINFO", tmp_path / "cpuinfo")
    assert rivals.processor()
    of_one_core = "vendor_id\t: Maker\ncpu family\t: 6\nmodel\t\t: 85\nmodel name\t: x\n\n"
    (tmp_path / "cpuinfo").write_text(2 * of_one_core)
    assert rivals.processor() == "Maker family 6 model 85"


def test_rivals_are_pinned_exactly_and_run_on_the_torch_of_the_lock():
    torch_pin = (rivals.ROOT / "requirements-torch.txt").read_text().strip()
    for name in rivals.RIVALS:
        pins = (rivals.WORKERS / f"{name}.txt").read_text().splitlines()
        pins = [line for line in pins if not line.startswith("#")]
        assert all("==" in pin for pin in pins) and torch_pin in pins


def test_an_environment_with_other_pins_is_not_taken_for_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(rivals, "BUILD", tmp_path)
    (tmp_path / "cornac_vaecf").mkdir()
    assert not rivals.installed("cornac_vaecf")
    stamp = tmp_path / "cornac_vaecf" / "installed.txt"
    stamp.write_text("cornac==1.0")
    assert not rivals.installed("cornac_vaecf")
    stamp.write_text((rivals.WORKERS / "cornac_vaecf.txt").read_text())
    assert rivals.installed("cornac_vaecf")


def test_ours_leaves_what_the_workers_leave(world_split, tmp_path):
    threads = torch.get_num_threads()
    try:
        rivals.measure_ours(world_split, rivals.Ours(recbole=True), 1, 1, tmp_path, seed=0)
    finally:
        torch.set_num_threads(threads)
    found = json.loads((tmp_path / "result.json").read_text())
    assert found.keys() == {"training", "evaluation", "peak_mb", "bare", "rate"}
    assert min(found.values()) > 0
    n_scored = len(rivals.scored_users(world_split))
    assert np.load(tmp_path / "scores.npy").shape == (n_scored, world_split.n_items)


@pytest.mark.slow
@pytest.mark.parametrize("name", rivals.RIVALS)
def test_a_rival_learns_from_what_it_is_handed(name, world_split, tmp_path):
    if not rivals.installed(name):
        pytest.skip(f"{rivals.RIVALS[name]} is not installed: python benchmarks/rivals.py does it")
    rivals.hand_over(world_split, tmp_path / "handed")
    found = rivals.run_rival(name, tmp_path / "handed", tmp_path / "out", epochs=60, threads=1)
    row = rivals.as_row(found, world_split, epochs=60, rival=True, joined=True)
    popularity = vr.models.Popularity(world_split.n_items)
    vr.fit(popularity, world_split)
    assert row["ndcg@100"] > vr.evaluate(popularity, world_split.test, ks=(100,))["ndcg@100"]
    assert min(row[name] for name in ("epoch_seconds", "evaluation_seconds", "floor_seconds", "peak_mb")) > 0


def test_a_table_is_filled_where_it_has_gaps_and_survives_an_interruption(tmp_path):
    table, made = tmp_path / "table.csv", []

    def one_row(name: str, size: int) -> dict:
        if size == 3:
            raise KeyboardInterrupt
        made.append(size)
        return {"square": size**2}

    with pytest.raises(KeyboardInterrupt):
        sweep.fill(table, ["name", "size"], [("a", 1), ("a", 2), ("a", 3)], one_row)
    whole = sweep.fill(table, ["name", "size"], [("a", 1), ("a", 4), ("a", 2)], one_row)
    assert made == [1, 2, 4]
    assert whole["square"].tolist() == [1, 4, 16] == pd.read_csv(table)["square"].tolist()
    assert len(sweep.fill(None, ["name", "size"], [("a", 1)], one_row)) == 1


@pytest.mark.process
def test_two_processes_are_timed(tmp_path, monkeypatch):
    monkeypatch.setattr(scaling, "WORLDS", tmp_path)
    row = processes.one_row(1000, processes=2, threads=1, steps=2, size=60_000)
    assert 0 < row["milliseconds"] < 10_000
    assert row["sent_mb"] == pytest.approx(4 * (2 * 1000 * 600 + 3 * 600 * 200) / 1e6, rel=0.01)


@pytest.mark.process
def test_a_small_world_is_timed_and_weighed(tmp_path, monkeypatch):
    monkeypatch.setattr(scaling, "WORLDS", tmp_path)
    scaling.world(60_000, 1000)
    row = scaling.measure(60_000, 1000, n_steps=2)
    assert (row["users"], row["items"], row["steps"]) == (600, 1000, 2)
    assert 0 < row["loading_share"] < 1 and 0 < row["seconds_a_step"] < row["epoch_seconds"] * 2
    assert row["model_mb"] == pytest.approx(16 * 1.5e6 / 2**20, rel=0.1)
    assert row["dense_mb"] == pytest.approx(4 * 600 * 1000 / 2**20)
