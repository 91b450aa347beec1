"""The evidence lower bound: its KL term and the weight beta that schedules give it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor


def reparameterize(mu: Tensor, logvar: Tensor, noise: Tensor | None = None) -> Tensor:
    r"""A sample of N(mu, sigma²) that gradients flow through: ``mu + sigma * noise``.

    Parameters
    ----------
    mu, logvar : Tensor [..., L]
        ``logvar = log sigma²``.
    noise : Tensor [..., L], optional
        Standard normal; drawn if not given.
    """
    noise = torch.randn_like(mu) if noise is None else noise
    return mu + torch.exp(0.5 * logvar) * noise


def gaussian_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    r"""KL from N(mu, diag(sigma²)) to N(0, I) in nats, summed over dimensions: [...].

    .. math:: \tfrac12 \sum_l \left(\mu_l^2 + \sigma_l^2 - 1 - \log \sigma_l^2\right)

    (Kingma & Welling 2014, appendix B.)

    Parameters
    ----------
    mu, logvar : Tensor [..., L]
    """
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=-1)


@dataclass(frozen=True)
class Constant:
    """The same beta from the first step to the last."""

    beta: float

    def __post_init__(self):
        _check_weight("beta", self.beta)

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
        _check_weight("cap", self.cap)
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction={self.fraction}: expected a part of training, 0 to 1")

    def __call__(self, progress: float) -> float:
        """Beta at this fraction of training."""
        return self.cap * min(1.0, progress / self.fraction)


Schedule = Callable[[float], float]
"""beta as a function of the fraction of training that is done, 0 to 1."""

SCHEDULES = {schedule.__name__: schedule for schedule in (Constant, LinearToCap)}


def schedule_to_dict(schedule: Schedule) -> dict:
    """A schedule as JSON can hold it: its name and its parameters.

    Raises
    ------
    ValueError
        Not a schedule of this module: a function of your own cannot be written to a file.
    """
    if type(schedule) not in SCHEDULES.values():
        raise ValueError(f"beta={schedule!r} cannot be saved: only {', '.join(SCHEDULES)} can. "
                         "Without save and resume= any function of progress will do")
    return {"name": type(schedule).__name__, **asdict(schedule)}


def schedule_from_dict(values: dict) -> Schedule:
    """The inverse of `schedule_to_dict`."""
    parameters = dict(values)
    return SCHEDULES[parameters.pop("name")](**parameters)


def _check_weight(name: str, value: float) -> None:
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name}={value}: beta weighs a KL; expected a number of at least 0")
