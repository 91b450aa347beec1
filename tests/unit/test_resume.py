"""Runs that are killed and go on, and folders that hold something else."""

import json
import os
import signal
import subprocess
import sys
import time

import lightning as L
import numpy as np
import pandas as pd
import pytest
import torch

import vaerec as vr

SCRIPT = """
import sys
import vaerec as vr
log = vr.load("synthetic", n_users=400, n_items=200)
split = vr.protocols.LIANG_2018(log, n_heldout=60)
model = vr.models.MVAE(split.n_items, hidden_dims=(64,), latent_dim=8)
print("ready", flush=True)
vr.fit(model, split, max_epochs=12, batch_size=20, seed=3, resume=sys.argv[1])
model.save(sys.argv[1] + "/model")
"""


def start(folder) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)], env=environment,
                            stdout=subprocess.PIPE, text=True)


def epochs_done(folder) -> int:
    history = folder / "history.csv"
    return len(pd.read_csv(history)) if history.exists() else 0


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert start(folder).wait() == 0
    return folder


# Seconds after the epoch: in the middle of an epoch, in its validation, while it writes.
@pytest.mark.process
@pytest.mark.parametrize(("epochs", "delay"), [(0, 0.0), (0, 0.03), (1, 0.0), (3, 0.02), (7, 0.05)])
def test_a_killed_run_ends_as_the_uninterrupted_one(uninterrupted, tmp_path, epochs, delay):
    run = start(tmp_path)
    assert run.stdout.readline() == "ready\n"
    while epochs_done(tmp_path) < epochs:
        time.sleep(0.002)
    time.sleep(delay)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    assert epochs_done(tmp_path) < 12
    assert start(tmp_path).wait() == 0
    columns = slice("epoch", "validation_ndcg@100")
    ours, whole = (pd.read_csv(folder / "history.csv").loc[:, columns]
                   for folder in (tmp_path, uninterrupted))
    pd.testing.assert_frame_equal(ours, whole, check_exact=True)
    assert (tmp_path / "model").read_bytes() == (uninterrupted / "model").read_bytes()


@pytest.mark.parametrize(("room", "name"), [(2000, "last.ckpt"), (10, "history.csv")])
def test_a_disk_that_fills_during_a_checkpoint_leaves_the_old_one(world_split, tmp_path, room, name):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    class FullDisk(L.Callback):
        """No file may grow beyond ``room`` bytes."""

        def on_train_epoch_start(self, trainer, task):
            if trainer.current_epoch == 2:
                resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))

    try:
        with pytest.raises(OSError, match=f"cannot write .*{name}: .*The checkpoint of epoch 1 is whole"):
            vr.fit(small(world_split), world_split, max_epochs=4, resume=tmp_path, callbacks=[FullDisk()])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    resumed = vr.fit(small(world_split), world_split, max_epochs=4, resume=tmp_path)
    whole = vr.fit(small(world_split), world_split, max_epochs=4)
    pd.testing.assert_frame_equal(resumed.drop(columns="seconds"), whole.drop(columns="seconds"))


def small(split):
    return vr.models.MVAE(split.n_items, hidden_dims=(16,), latent_dim=4)


def test_a_finished_run_is_not_trained_again(world_split, tmp_path):
    models = small(world_split), small(world_split)
    first, second = (vr.fit(m, world_split, max_epochs=3, resume=tmp_path) for m in models)
    pd.testing.assert_frame_equal(first, second)
    for ours, same in zip(*(m.parameters() for m in models), strict=True):
        assert torch.equal(ours, same)


def test_settings_may_be_numpy_numbers(world_split, tmp_path):
    options = {"max_epochs": np.int64(2), "batch_size": np.int64(50), "lr": np.float32(0.01)}
    first = vr.fit(small(world_split), world_split, resume=tmp_path, **options)
    pd.testing.assert_frame_equal(first, vr.fit(small(world_split), world_split, resume=tmp_path, **options))


def test_a_run_that_stopped_early_is_finished(world_split, tmp_path):
    options = {"max_epochs": 40, "batch_size": 50, "lr": 0.05, "patience": 2, "resume": tmp_path}
    first = vr.fit(small(world_split), world_split, **options)
    assert len(first) < 40
    pd.testing.assert_frame_equal(first, vr.fit(small(world_split), world_split, **options))


@pytest.mark.parametrize(("change", "message"), [
    ({"seed": 1}, "seed is 0 there and 1 here"), ({"max_epochs": 9}, "max_epochs is 2 there and 9 here")])
def test_another_run_in_the_folder(world_split, tmp_path, change, message):
    vr.fit(small(world_split), world_split, max_epochs=2, resume=tmp_path)
    with pytest.raises(ValueError, match=message):
        vr.fit(small(world_split), world_split, **{"max_epochs": 2} | change, resume=tmp_path)


def test_another_model_or_split_in_the_folder(world, world_split, tmp_path):
    vr.fit(small(world_split), world_split, max_epochs=2, resume=tmp_path)
    other = vr.models.MVAE(world_split.n_items, hidden_dims=(17,), latent_dim=4)
    with pytest.raises(ValueError, match="hyper_parameters is"):
        vr.fit(other, world_split, max_epochs=2, resume=tmp_path)
    temporal = vr.protocols.SACHDEVA_2019(world, n_heldout=60)
    with pytest.raises(ValueError, match="protocol is"):
        vr.fit(small(temporal), temporal, max_epochs=2, resume=tmp_path)


def test_a_run_of_a_version_that_did_not_note_its_code(world_split, tmp_path):
    vr.fit(small(world_split), world_split, max_epochs=2, resume=tmp_path)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    record = checkpoint["callbacks"]["_Record"]
    settings = json.loads(record["settings"])
    del settings["code"]
    record["settings"] = json.dumps(settings)
    torch.save(checkpoint, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="a run of version 0.1.0, which did not note its code"):
        vr.fit(small(world_split), world_split, max_epochs=2, resume=tmp_path)


@pytest.mark.parametrize("share", [0, 0.1, 0.9])
def test_a_damaged_checkpoint(world_split, tmp_path, share):
    vr.fit(small(world_split), world_split, max_epochs=2, resume=tmp_path)
    path = tmp_path / "last.ckpt"
    path.write_bytes(path.read_bytes()[:int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match="not a whole checkpoint.*delete the folder"):
        vr.fit(small(world_split), world_split, max_epochs=2, resume=tmp_path)


def test_a_hostile_checkpoint_runs_nothing(world_split, tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    torch.save({"callbacks": Hostile()}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="not a whole checkpoint"):
        vr.fit(small(world_split), world_split, max_epochs=2, resume=tmp_path)
    assert not (tmp_path / "owned").exists()


def sequential(split):
    return vr.models.SVAE(split.n_items, 8, 10, (6,), 4, beta=vr.elbo.Cyclical(0.1, cycles=2))


@pytest.mark.parametrize("make", [small, sequential])
def test_a_kill_between_the_two_files_of_an_epoch(make, world_split, tmp_path, monkeypatch):
    """The history of the last epoch is written, its checkpoint is not: the epoch is run again.

    Beta and the step size, two schedules over all of training, go on where they were.
    """
    replace, calls = os.replace, []

    def cut(source, target):
        calls.append(target)
        if len(calls) == 6:  # the third epoch's checkpoint
            raise KeyboardInterrupt
        replace(source, target)

    whole = vr.fit(make(world_split), world_split, max_epochs=3).drop(columns="seconds")
    monkeypatch.setattr(os, "replace", cut)
    with pytest.raises(KeyboardInterrupt):
        vr.fit(make(world_split), world_split, max_epochs=3, resume=tmp_path)
    monkeypatch.undo()
    again = vr.fit(make(world_split), world_split, max_epochs=3, resume=tmp_path)
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), whole)
    assert len(pd.read_csv(tmp_path / "history.csv")) == 3


def test_another_fraction_is_another_run(world, tmp_path):
    splits = [vr.protocols.strong_generalization(world, n_heldout=60, fraction=f) for f in (0.2, 0.5)]
    vr.fit(small(splits[0]), splits[0], max_epochs=2, resume=tmp_path)
    with pytest.raises(ValueError, match="protocol is"):
        vr.fit(small(splits[1]), splits[1], max_epochs=2, resume=tmp_path)
