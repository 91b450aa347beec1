"""fit(): seeds, best weights, early stopping, and the numbers on MovieLens-1M."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import SingleDeviceStrategy

import vaerec as vr
from vaerec.batches import UserBatches
from vaerec.loop import _epoch_means, _Task
from vaerec.recipes import LR_SCHEDULES
from vaerec.schedules import Constant


def small(split, **options):
    return vr.models.MVAE(split.n_items, hidden_dims=(32,), latent_dim=8, **options)


def test_a_seed_fixes_the_run_whatever_happened_before(world_split):
    histories, models = [], []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(noise)
        models.append(small(world_split))
        torch.randn(3)
        history = vr.fit(models[-1], world_split, max_epochs=3, batch_size=100, seed=seed)
        histories.append(history.drop(columns="seconds"))
    pd.testing.assert_frame_equal(histories[0], histories[1])
    assert not histories[0].equals(histories[2])
    for ours, same in zip(models[0].parameters(), models[1].parameters()):
        assert torch.equal(ours, same)


def test_history_has_a_row_an_epoch_and_beta_climbs(world_split):
    history = vr.fit(small(world_split), world_split, max_epochs=4, batch_size=100)
    assert history["epoch"].tolist() == [0, 1, 2, 3]
    assert {"loss", "distortion", "rate", "beta", "validation_ndcg@100", "seconds"} <= set(history)
    assert history["beta"].is_monotonic_increasing and history["beta"].iloc[-1] == pytest.approx(0.2)


def test_the_loss_falls(world_split):
    history = vr.fit(small(world_split, beta=Constant(0.1)), world_split, max_epochs=15, batch_size=50)
    assert history["loss"].iloc[-1] < history["loss"].iloc[0] - 5


def test_the_best_weights_are_loaded_back(world_split):
    """With a large step size the last epoch is seldom the best; the returned model is the best."""
    for seed in range(5):
        model = small(world_split)
        history = vr.fit(model, world_split, max_epochs=12, batch_size=50, lr=0.2, seed=seed)
        validation = history["validation_ndcg@100"]
        now = vr.evaluate(model, world_split.validation, ks=(100,))["ndcg@100"]
        assert now == pytest.approx(validation.max(), abs=1e-9)
        if validation.iloc[-1] < validation.max() - 1e-3:
            return
    pytest.fail("the last epoch was the best with each seed: nothing was shown")


def test_patience_stops_after_epochs_without_progress(world_split):
    history = vr.fit(small(world_split), world_split, max_epochs=60, batch_size=50, lr=0.05, patience=3)
    best = history["validation_ndcg@100"].idxmax()
    assert len(history) == best + 4 < 60


def test_closed_form_models_take_the_same_call(world_split):
    history = vr.fit(vr.models.EASE(world_split.n_items, l2=50), world_split, max_epochs=5, seed=3)
    assert len(history) == 1 and 0 < history["validation_ndcg@100"][0] < 1


def test_another_catalogue_is_refused(world_split):
    with pytest.raises(ValueError, match="n_items=split.n_items"):
        vr.fit(vr.models.MVAE(world_split.n_items + 1), world_split)


@pytest.mark.parametrize("options", [{"max_epochs": 0}, {"batch_size": 0}, {"lr": -1.0},
                                     {"precision": "8-true"}, {"max_epochs": 2.5}, {"patience": 0},
                                     {"seed": -1}, {"seed": 0.5}])
def test_wrong_parameters(world_split, options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        vr.fit(small(world_split), world_split, **options)


def test_fit_is_quiet(world_split, capfd):
    vr.fit(small(world_split), world_split, max_epochs=1)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


IN_A_TERMINAL = """
import pty, sys
pty.spawn([sys.executable, "-c", '''
import fcntl, struct, termios
fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))  # rows, columns
import vaerec as vr
log = vr.load("synthetic", n_users=100, n_items=40)
split = vr.protocols.LIANG_2018(log, n_heldout=10)
vr.fit(vr.models.MVAE(split.n_items, hidden_dims=(8,), latent_dim=2), split, max_epochs=3)
'''])
"""


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is a Unix thing")
def test_a_terminal_shows_progress():
    done = subprocess.run([sys.executable, "-c", IN_A_TERMINAL], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=120)
    assert "Epoch 2: 100%" in done.stdout


@pytest.mark.parametrize(("protocol", "popularity", "ease"), [("LIANG_2018", 0.2169, 0.4266),
                                                        ("SACHDEVA_2019", 0.1470, 0.2385)])
def test_baselines_on_ml_1m(ml_1m, protocol, popularity, ease):
    split = getattr(vr.protocols, protocol)(ml_1m)
    for model, expected in ((vr.models.Popularity(split.n_items), popularity),
                            (vr.models.EASE(split.n_items, l2=1000), ease)):
        vr.fit(model, split)
        assert vr.evaluate(model, split.test)["ndcg@100"] == pytest.approx(expected, abs=5e-4)


def test_recency_lifts_ease_on_temporal_targets(ml_1m):
    split = vr.protocols.SACHDEVA_2019(ml_1m)
    model = vr.models.EASE(split.n_items, l2=2000, recency=0.85)
    vr.fit(model, split)
    assert vr.evaluate(model, split.test)["ndcg@100"] == pytest.approx(0.283, abs=1e-3)


def test_adam_gets_what_the_settings_say(world_split):
    settings = {"lr": 0.5, "weight_decay": 0.25, "lr_schedule": "constant", "max_epochs": 1}
    task = _Task(small(world_split), UserBatches(world_split.train, 50, 0), settings)
    adam = task.configure_optimizers()["optimizer"].defaults
    assert (adam["lr"], adam["weight_decay"]) == (0.5, 0.25)


def test_the_cosine_climbs_falls_and_never_rests():
    parts = np.array([LR_SCHEDULES["cosine"](progress) for progress in np.linspace(0, 1, 401)])
    assert parts[0] == 0 and parts[-1] == pytest.approx(0, abs=1e-12)
    assert parts.argmax() in (19, 20) and parts.max() > 0.99
    assert (np.diff(parts[:19]) > 0).all() and (np.diff(parts[20:]) < 0).all()
    assert parts[200] == pytest.approx(0.5, abs=1e-12)


def test_epoch_means_weigh_each_batch_by_its_users_or_steps():
    parts = [{"steps": 7, "loss": torch.tensor(1.0)}, {"steps": 1, "loss": torch.tensor(5.0)}]
    alone = SingleDeviceStrategy()
    assert _epoch_means(parts, alone) == {"loss": 1.5}
    nothing_to_learn_from = [{"steps": 0, "loss": torch.tensor(0.0)}]
    assert _epoch_means(nothing_to_learn_from, alone) == {"loss": 0.0}


def test_a_loss_that_is_not_finite_names_epoch_step_and_cause(world_split, monkeypatch):
    model = small(world_split)
    calls, loss = [], model.loss

    def breaks_in_the_ninth_step(bags, progress):
        calls.append(progress)
        value, parts = loss(bags, progress)
        return value * (float("nan") if len(calls) >= 9 else 1), parts

    monkeypatch.setattr(model, "loss", breaks_in_the_ninth_step)
    # 280 training users in batches of 50: six steps an epoch
    with pytest.raises(FloatingPointError, match=r"loss .* epoch 1, by step 2 .*lr=0.5 is too large"):
        vr.fit(model, world_split, max_epochs=3, batch_size=50, lr=0.5)


def test_weights_that_are_not_finite_are_named_too(world_split, monkeypatch):
    model = small(world_split)
    monkeypatch.setattr(model, "loss", lambda bags, progress: (
        (model.first.weight.sum() * 0).sqrt(), {"rate": 0.0}))  # a loss of 0 with an infinite gradient
    with pytest.raises(FloatingPointError, match="weights .* epoch 0, by step 0"):
        vr.fit(model, world_split, max_epochs=2, batch_size=280)


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_float16_is_refused_without_a_gpu(world_split):
    with pytest.raises(ValueError, match="'16-mixed' needs a GPU: take 'bf16-mixed'"):
        vr.fit(small(world_split), world_split, precision="16-mixed")


def test_numpy_numbers_are_numbers(world_split, tmp_path):
    model = vr.models.MVAE(world_split.n_items, hidden_dims=(np.int64(8),), latent_dim=np.int64(4))
    history = vr.fit(model, world_split, max_epochs=np.int64(2), seed=np.int64(0), resume=tmp_path)
    model.save(tmp_path / "model")
    assert len(history) == 2


def test_any_function_of_progress_is_a_schedule(world_split):
    seen = []
    history = vr.fit(small(world_split, beta=lambda progress: seen.append(progress) or progress**2),
                     world_split, max_epochs=2, batch_size=140)
    assert seen == [0.0, 0.25, 0.5, 0.75]
    assert history["beta"].tolist() == pytest.approx([0.25**2 / 2, (0.5**2 + 0.75**2) / 2])


def test_ctrl_c_is_ctrl_c(world_split, monkeypatch):
    model = small(world_split)

    def interrupted(bags, progress):
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        vr.fit(model, world_split, max_epochs=2)


def test_bf16_trains_nearly_alike(world_split):
    ends = [vr.fit(small(world_split), world_split, max_epochs=8, batch_size=50, precision=precision)
            ["distortion"].iloc[-1] for precision in ("32-true", "bf16-mixed")]
    assert ends[0] != ends[1]  # the arithmetic did change
    assert ends[1] == pytest.approx(ends[0], rel=0.01)


def test_any_lightning_logger_gets_the_history(world_split, tmp_path):
    logger = CSVLogger(tmp_path, name="run", version="0")
    history = vr.fit(small(world_split), world_split, max_epochs=3, logger=logger)
    logger.save()
    logged = pd.read_csv(tmp_path / "run" / "0" / "metrics.csv")
    assert logged["validation_ndcg@100"].tolist() == pytest.approx(history["validation_ndcg@100"].tolist())


def test_callbacks_see_the_row_of_the_epoch_and_may_end_the_run(world_split):
    class Stop(Exception):
        pass

    class Watch(Callback):
        def __init__(self, last):
            self.last, self.seen = last, []

        def on_train_epoch_end(self, trainer, task):
            self.seen.append(trainer.callback_metrics["validation_ndcg@100"].item())
            if trainer.current_epoch == self.last:
                raise Stop

    watch = Watch(last=9)
    history = vr.fit(small(world_split), world_split, max_epochs=3, callbacks=[watch])
    assert watch.seen == pytest.approx(history["validation_ndcg@100"].tolist())
    watch = Watch(last=1)
    with pytest.raises(Stop):
        vr.fit(small(world_split), world_split, max_epochs=3, callbacks=[watch])
    assert watch.seen == pytest.approx(history["validation_ndcg@100"].tolist()[:2])
