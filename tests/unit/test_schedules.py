"""Schedules of beta: their values, their files, and runs that are cut off and go on."""

import json
import math
import os

import numpy as np
import pytest

import vaerec as vr
from vaerec.schedules import Constant, Cyclical, LinearToCap, schedule_from_dict, schedule_to_dict

ALL = [Constant(0.3), LinearToCap(0.2), LinearToCap(1.0, fraction=0.25), LinearToCap(0.5, fraction=1.0),
       Cyclical(0.2), Cyclical(1.0, cycles=3, fraction=0.8), Cyclical(0.5, cycles=1), Constant(0.0)]


def test_constant():
    assert [Constant(0.3)(p) for p in (0, 0.1, 0.999, 1)] == [0.3] * 4


@pytest.mark.parametrize("fraction", [0.1, 0.5, 1.0])
def test_linear_to_cap_at_many_points(fraction):
    climb = LinearToCap(0.2, fraction=fraction)
    for progress in np.linspace(0, 1, 101):
        expected = 0.2 * progress / fraction if progress < fraction else 0.2
        assert climb(progress) == pytest.approx(expected, abs=1e-12)
    assert climb(0) == 0 and climb(fraction) == climb(1) == 0.2


@pytest.mark.parametrize("cycles", [1, 2, 4, 8])
@pytest.mark.parametrize("fraction", [0.25, 0.5, 1.0])
def test_a_cycle_is_a_climb_and_a_rest_and_is_repeated(cycles, fraction):
    schedule = Cyclical(0.2, cycles=cycles, fraction=fraction)
    climb = LinearToCap(0.2, fraction=fraction)
    for place in (0, 0.125, 0.25, 0.5, 0.75, 0.875):  # eighths are exact in binary
        expected = pytest.approx(climb(place), abs=1e-12)
        assert [schedule((cycle + place) / cycles) for cycle in range(cycles)] == [expected] * cycles


@pytest.mark.parametrize("cycles", [1, 3, 4, 7])
def test_beta_falls_once_between_two_cycles_and_ends_at_the_cap(cycles):
    schedule = Cyclical(0.2, cycles=cycles)
    values = np.array([schedule(p) for p in np.linspace(0, 1, 1001)])
    assert (np.diff(values) < -0.1).sum() == cycles - 1
    assert values[0] == 0 and values[-1] == 0.2
    assert values.min() >= 0 and values.max() <= 0.2


def test_one_cycle_is_linear_to_cap():
    for progress in np.linspace(0, 1, 41):
        assert Cyclical(0.4, cycles=1, fraction=0.3)(progress) == LinearToCap(0.4, fraction=0.3)(progress)


@pytest.mark.parametrize("schedule", ALL, ids=str)
def test_a_schedule_never_leaves_its_range(schedule):
    cap = schedule.beta if isinstance(schedule, Constant) else schedule.cap
    values = [schedule(p) for p in np.linspace(0, 1, 257)]
    assert all(0 <= value <= cap for value in values)
    assert schedule(1.0) == cap


NUMBERS = [-0.1, math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("value", NUMBERS)
def test_a_beta_that_is_no_weight(value):
    with pytest.raises(ValueError, match=f"beta={value}: expected a finite number"):
        Constant(value)
    for schedule in (LinearToCap, Cyclical):
        with pytest.raises(ValueError, match=f"cap={value}: expected a finite number"):
            schedule(value)
    with pytest.raises(ValueError, match=f"beta={value}"):
        vr.models.MVAE(n_items=5, hidden_dims=(2,), latent_dim=1, beta=value)


@pytest.mark.parametrize("fraction", [*NUMBERS, 0.0, 1.01])
@pytest.mark.parametrize("schedule", [LinearToCap, Cyclical])
def test_a_climb_of_no_steps_or_longer_than_training(schedule, fraction):
    with pytest.raises(ValueError, match=f"fraction={fraction}: the climb takes a part of training"):
        schedule(0.2, fraction=fraction)


@pytest.mark.parametrize("cycles", [0, -1, 1.5, math.nan, math.inf])
def test_cycles_that_cannot_be_counted(cycles):
    with pytest.raises(ValueError, match=f"cycles={cycles}: expected a whole number"):
        Cyclical(0.2, cycles=cycles)


@pytest.mark.parametrize("schedule", ALL, ids=str)
def test_a_schedule_survives_a_file(schedule, tmp_path):
    assert schedule_from_dict(json.loads(json.dumps(schedule_to_dict(schedule)))) == schedule
    model = vr.models.MVAE(n_items=5, hidden_dims=(2,), latent_dim=1, beta=schedule)
    model.save(tmp_path / "model")
    assert vr.models.MVAE.load(tmp_path / "model").beta == schedule


def test_numbers_of_numpy_survive_a_file():
    schedule = Cyclical(np.float32(0.25), cycles=np.int64(3), fraction=np.float64(0.5))
    assert json.loads(json.dumps(schedule_to_dict(schedule))) == {
        "name": "Cyclical", "cap": 0.25, "cycles": 3, "fraction": 0.5}


def plain(progress: float) -> float:
    """A schedule that is only a function."""
    return 0.2 * progress**2


class Mine(Constant):
    """A schedule of one's own."""


@pytest.mark.parametrize("schedule", [plain, lambda progress: 0.1, Mine(0.2)])
def test_what_is_not_of_this_module_trains_but_is_not_saved(schedule, world_split, tmp_path):
    model = vr.models.MVAE(world_split.n_items, hidden_dims=(4,), latent_dim=2, beta=schedule)
    history = vr.fit(model, world_split, max_epochs=1)
    assert np.isfinite(history["loss"]).all()
    for refused in (lambda: schedule_to_dict(schedule), lambda: model.save(tmp_path / "model")):
        with pytest.raises(ValueError, match="cannot be saved: only Constant, LinearToCap, Cyclical can"):
            refused()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("values", [{"name": "Cosine", "cap": 0.2}, {"cap": 0.2}, {"name": None}])
def test_a_name_that_is_no_schedule(values):
    with pytest.raises(ValueError, match="expected one of Constant, LinearToCap, Cyclical"):
        schedule_from_dict(values)


def test_a_damaged_parameter_is_refused_on_reading():
    with pytest.raises(ValueError, match="cap=-1"):
        schedule_from_dict({"name": "LinearToCap", "cap": -1, "fraction": 0.5})


def beta_column(split, schedule, **options) -> list[float]:
    model = vr.models.MVAE(split.n_items, hidden_dims=(8,), latent_dim=2, beta=schedule)
    return vr.fit(model, split, max_epochs=6, batch_size=70, seed=1, **options)["beta"].tolist()


@pytest.mark.parametrize("schedule", [LinearToCap(0.2, fraction=0.75), Cyclical(0.3, cycles=2, fraction=0.9)])
def test_training_asks_for_the_fraction_of_all_steps(schedule, world_split):
    per_epoch = -(-world_split.train.n_users // 70)
    users = np.diff([*range(0, world_split.train.n_users, 70), world_split.train.n_users])
    expected = [np.average([schedule((epoch * per_epoch + step) / (6 * per_epoch))
                            for step in range(per_epoch)], weights=users) for epoch in range(6)]
    assert beta_column(world_split, schedule) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("schedule", [Constant(0.1), LinearToCap(0.2, fraction=0.75),
                                      Cyclical(0.3, cycles=2, fraction=0.9)], ids=str)
@pytest.mark.parametrize("epochs_written", [1, 2, 5])
def test_a_restored_schedule_goes_on_where_it_stopped(schedule, epochs_written, world_split, tmp_path,
                                                      monkeypatch):
    """Not at 0 again, as the counter of the SVAE authors' code does in each epoch."""
    replace, calls = os.replace, []

    def cut(source, target):
        calls.append(target)
        if len(calls) == 2 * epochs_written + 1:  # an epoch replaces two files
            raise KeyboardInterrupt
        replace(source, target)

    whole = beta_column(world_split, schedule)
    monkeypatch.setattr(os, "replace", cut)
    with pytest.raises(KeyboardInterrupt):
        beta_column(world_split, schedule, resume=tmp_path)
    monkeypatch.undo()
    assert beta_column(world_split, schedule, resume=tmp_path) == whole


def test_a_run_is_not_resumed_with_another_schedule(world_split, tmp_path):
    beta_column(world_split, LinearToCap(0.2), resume=tmp_path)
    with pytest.raises(ValueError, match="hyper_parameters is .*LinearToCap.* there and .*Cyclical.* here"):
        beta_column(world_split, Cyclical(0.2), resume=tmp_path)
