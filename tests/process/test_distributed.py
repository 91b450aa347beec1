"""Several processes train the model that one would train."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vaerec as vr

ROOT = Path(__file__).parents[2]
METRIC = "validation_ndcg@100"
# Without dropout and noise a run has no chance but the order of the users.
WORKER = """
import json, os, sys, time
import lightning as L
import vaerec as vr
# n_users of the synthetic world, or a folder of shards, of each rank
name, folder, pause, n_users = sys.argv[1], sys.argv[2], float(sys.argv[3]), json.loads(sys.argv[4])
rank = int(os.environ["RANK"])

class Slow(L.Callback):
    def on_train_epoch_start(self, trainer, task):
        time.sleep(pause)

class MVAE(vr.models.MVAE):
    def sample(self, mu, logvar):
        return mu

class SVAE(vr.models.SVAE):
    def sample(self, mu, logvar):
        return mu

own = n_users[rank % len(n_users)]
if isinstance(own, str):
    split = vr.shards.read(own)
else:
    split = vr.protocols.LIANG_2018(vr.load("synthetic", n_users=own, n_items=200), n_heldout=60)
sizes = {"MVAE": {"hidden_dims": (20,), "latent_dim": 5},
         "SVAE": {"embedding_dim": 12, "rnn_dim": 9, "hidden_dims": (8,), "latent_dim": 4}}[name]
model = {"MVAE": MVAE, "SVAE": SVAE}[name](split.n_items, dropout=0.0, **sizes)
history = vr.fit(model, split, max_epochs=3, batch_size=93, lr=5e-3, resume=folder, callbacks=[Slow()])
if rank == 0:
    history.to_csv(f"{folder}/returned.csv", index=False)
    model.save(f"{folder}/model.safetensors")
"""


def start(name: str, folder: Path, n_processes: int, pause: float = 0, n_users=(400,)) -> subprocess.Popen:
    """``torchrun`` on a free port, one thread a process."""
    script = folder.with_suffix(".py")
    script.write_text(WORKER)
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n_processes}",
         str(script), name, str(folder), str(pause), json.dumps(list(n_users))],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)


def history(name: str, folder: Path, n_processes: int, n_users=(400,)) -> pd.DataFrame:
    run = start(name, folder, n_processes, n_users=n_users)
    said, _ = run.communicate(timeout=300)
    assert run.returncode == 0, said[-3000:]
    return pd.read_csv(folder / "returned.csv")


@pytest.mark.parametrize("name", [pytest.param("MVAE", marks=pytest.mark.smoke), "SVAE"])
def test_two_processes_give_the_loss_curve_of_one(name, tmp_path):
    # 280 users in batches of 93: the last batch has one user, so one process has none of it.
    one, two = (history(name, tmp_path / str(n), n) for n in (1, 2))
    for column in ("loss", "distortion", "rate"):
        np.testing.assert_allclose(two[column], one[column], rtol=1e-4)
    np.testing.assert_allclose(two[METRIC], one[METRIC], atol=2e-3)
    assert one["loss"].iloc[-1] < one["loss"].iloc[0]


@pytest.mark.parametrize("name", ["MVAE", "SVAE"])
def test_two_processes_that_read_their_own_shards_give_the_loss_curve_of_one(world_split, name, tmp_path):
    vr.shards.write(world_split, tmp_path / "all", n_shards=16)
    folders = [str(tmp_path / "all")]
    for rank in (0, 1):  # a machine needs nothing but the shards of its own lanes
        folders.append(shutil.copytree(tmp_path / "all", tmp_path / f"of-{rank}"))
        for number in range(1 - rank, 16, 2):
            (folders[-1] / f"shard-{number:05d}.parquet").unlink()
    one, two = (history(name, tmp_path / str(n), n, list(map(str, own)))
                for n, own in ((1, folders[:1]), (2, folders[1:])))
    for column in ("loss", "distortion", "rate"):
        np.testing.assert_allclose(two[column], one[column], rtol=1e-4)
    np.testing.assert_allclose(two[METRIC], one[METRIC], atol=2e-3)
    assert one["loss"].iloc[-1] < one["loss"].iloc[0]


@pytest.mark.slow
def test_processes_with_different_shards_are_told(world, world_split, tmp_path):
    folders = [str(tmp_path / name) for name in ("first", "second")]
    for folder, n_heldout in zip(folders, (60, 59), strict=True):
        vr.shards.write(vr.protocols.LIANG_2018(world, n_heldout=n_heldout), folder, n_shards=8)
    run = start("MVAE", tmp_path / "run", 2, n_users=folders)
    said, _ = run.communicate(timeout=300)
    assert run.returncode != 0
    assert "rank 1 trains something else" in said and "data is" in said


@pytest.mark.slow
def test_a_shard_that_one_process_cannot_read_ends_the_run(world_split, tmp_path):
    vr.shards.write(world_split, tmp_path / "shards", n_shards=8)
    shard = tmp_path / "shards" / "shard-00003.parquet"
    shard.write_bytes(shard.read_bytes()[:-20])
    run = start("MVAE", tmp_path / "run", 2, n_users=[str(tmp_path / "shards")])
    said, _ = run.communicate(timeout=300)
    assert run.returncode != 0
    assert "rank1" in said and "shard-00003.parquet is truncated or changed" in said


@pytest.mark.slow
def test_a_killed_worker_ends_the_run_and_nothing_is_lost(tmp_path):
    whole = history("MVAE", tmp_path / "whole", 2)
    folder = tmp_path / "cut"
    run = start("MVAE", folder, 2, pause=3)
    deadline = time.time() + 120
    while not (folder / "history.csv").exists() and time.time() < deadline:
        time.sleep(0.1)
    workers = subprocess.run(["pgrep", "-P", str(run.pid)], capture_output=True, text=True).stdout.split()
    os.kill(int(workers[-1]), signal.SIGKILL)
    said, _ = run.communicate(timeout=120)
    assert run.returncode != 0
    assert "Signal 9" in said or "SIGKILL" in said
    kept = pd.read_csv(folder / "history.csv")
    assert 1 <= len(kept) < 3
    again = history("MVAE", folder, 2)
    np.testing.assert_allclose(again["loss"], whole["loss"], rtol=1e-6)


@pytest.mark.slow
def test_processes_with_different_data_are_told(tmp_path):
    run = start("MVAE", tmp_path / "run", 2, n_users=(400, 390))
    said, _ = run.communicate(timeout=300)
    assert run.returncode != 0
    assert "rank 1 trains something else: data is" in said


def test_the_shares_of_a_batch_make_the_batch(world_split):
    whole, *shares = (vr.batches.UserBatches(world_split.train, 93, seed=4, rank=rank, n_ranks=n)
                      for rank, n in ((0, 1), (0, 2), (1, 2)))
    for batch, first, second in zip(whole, *shares, strict=True):
        lengths = np.empty(batch.n_users, np.int64)
        lengths[::2], lengths[1::2] = first.lengths(), second.lengths()
        np.testing.assert_array_equal(lengths, batch.lengths())
        assert len(first.items) + len(second.items) == len(batch.items)
