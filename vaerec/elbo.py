"""The evidence lower bound: its KL term and the weight beta that schedules give it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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


Schedule = Callable[[float], float]
"""beta as a function of the fraction of training that is done, 0 to 1."""


@dataclass(frozen=True)
class Constant:
    """The same beta from the first step to the last."""

    beta: float

    def __call__(self, progress: float) -> float:
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
        if self.cap < 0:
            raise ValueError(f"cap={self.cap}: beta weighs a KL and cannot be negative")
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction={self.fraction}: expected a part of training, 0 to 1")

    def __call__(self, progress: float) -> float:
        return self.cap * min(1.0, progress / self.fraction)
