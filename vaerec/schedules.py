"""Schedules of beta, the weight of the KL term, as functions of the fraction of training done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from numbers import Integral

__all__ = ["Constant", "Cyclical", "LinearToCap", "as_schedule", "schedule_from_dict", "schedule_to_dict"]


@dataclass(frozen=True)
class Constant:
    """The same beta from the first step to the last."""

    beta: float

    def __post_init__(self):
        check_weight("beta", self.beta)

    def __call__(self, progress: float) -> float:
        """Beta at this fraction of training."""
        return self.beta


@dataclass(frozen=True)
class LinearToCap:
    """beta climbs from 0 to ``cap`` in a fraction of training, then stays (Liang et al. 2018, §2.2.2).

    The climb is a fraction of training, not a number of steps: 200,000 steps, the published
    setting on ML-20M, would leave beta near zero on a data set with ten steps an epoch.
    """

    cap: float
    fraction: float = 0.5

    def __post_init__(self):
        check_weight("cap", self.cap)
        _check_fraction(self.fraction)

    def __call__(self, progress: float) -> float:
        """Beta at this fraction of training."""
        return self.cap * min(1.0, progress / self.fraction)


@dataclass(frozen=True)
class Cyclical:
    """Beta climbs from 0 to ``cap`` and stays there, then starts again, ``cycles`` times (Fu et al. 2019).

    Within a cycle the climb takes ``fraction`` of it. The end of training is the end of a cycle, so
    the last beta is the cap.
    """

    cap: float
    cycles: int = 4
    fraction: float = 0.5

    def __post_init__(self):
        check_weight("cap", self.cap)
        _check_fraction(self.fraction)
        if not isinstance(self.cycles, Integral) or self.cycles < 1:
            raise ValueError(f"cycles={self.cycles}: expected a whole number of at least 1")

    def __call__(self, progress: float) -> float:
        """Beta at this fraction of training."""
        place = progress * self.cycles % 1 if progress < 1 else 1.0
        return self.cap * min(1.0, place / self.fraction)


Schedule = Callable[[float], float]
"""beta as a function of the fraction of training that is done, 0 to 1."""

SCHEDULES = {schedule.__name__: schedule for schedule in (Constant, LinearToCap, Cyclical)}


def as_schedule(beta: Schedule | float | dict) -> Schedule:
    """What a model's ``beta`` may be: a schedule, a number, or what `schedule_to_dict` wrote.

    Raises
    ------
    ValueError
        None of these.
    """
    if isinstance(beta, dict):
        return schedule_from_dict(beta)
    if isinstance(beta, int | float):
        return Constant(beta)
    if not callable(beta):
        raise ValueError(f"beta={beta!r}: expected a number or a schedule, such as LinearToCap(0.2)")
    return beta


def schedule_to_dict(schedule: Schedule) -> dict:
    """A schedule as JSON can hold it: its name and its parameters.

    Raises
    ------
    ValueError
        Not a schedule of this module: a function of your own cannot be written to a file.
    """
    if type(schedule) not in SCHEDULES.values():
        raise ValueError(f"beta={schedule!r} cannot be saved: only {', '.join(SCHEDULES)} can. "
                         "Without save any function of progress will do")
    parameters = {name: int(value) if isinstance(value, Integral) else float(value)
                  for name, value in asdict(schedule).items()}  # numpy's numbers are not JSON's
    return {"name": type(schedule).__name__, **parameters}


def schedule_from_dict(values: dict) -> Schedule:
    """The inverse of `schedule_to_dict`.

    Raises
    ------
    ValueError
        No schedule of that name, or a parameter out of range.
    """
    parameters = dict(values)
    name = parameters.pop("name", None)
    if name not in SCHEDULES:
        raise ValueError(f"schedule {name!r}: expected one of {', '.join(SCHEDULES)}")
    return SCHEDULES[name](**parameters)


def check_weight(name: str, value: float) -> None:
    """Raise ValueError unless a weight in the objective is finite and at least 0."""
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name}={value}: expected a finite number of at least 0")


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction={fraction}: the climb takes a part of training, above 0 and at most 1")
