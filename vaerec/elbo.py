"""The evidence lower bound: its terms, tighter bounds, collapse, and schedules for its weight beta."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from numbers import Integral

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


def kl_per_unit(mu: Tensor, logvar: Tensor) -> Tensor:
    r"""KL from N(mu, sigma²) to N(0, 1) in nats, for each latent dimension by itself: [..., L].

    .. math:: \tfrac12 \left(\mu^2 + \sigma^2 - 1 - \log \sigma^2\right)

    (Kingma & Welling 2014, appendix B.) In float32 at least, also under autocast. It is never NaN
    for finite input: where :math:`\sigma^2` is too large for the type (float32: logvar > 88), it is
    inf, and `vaerec.fit` stops.

    Parameters
    ----------
    mu, logvar : Tensor [..., L]
        ``logvar = log sigma²``.
    """
    wide = torch.promote_types(torch.promote_types(mu.dtype, logvar.dtype), torch.float32)
    mu, logvar = mu.to(wide), logvar.to(wide)
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar)


def gaussian_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL from N(mu, diag(sigma²)) to N(0, I) in nats, the sum of `kl_per_unit`: [...]."""
    return kl_per_unit(mu, logvar).sum(dim=-1)


def elbo(log_likelihood: Tensor, rate: Tensor, beta: float = 1.0) -> Tensor:
    """The evidence lower bound in nats: log-likelihood of a sample of q minus beta times the rate.

    Its expectation is at most log p(x) for beta of at least 1; below 1 nothing guarantees that
    (Kingma & Welling 2014, eq. 3; Higgins et al. 2017).

    Parameters
    ----------
    log_likelihood : Tensor [...]
        log p(x | z), z drawn from q(z | x); or its mean over several draws.
    rate : Tensor [...]
        `gaussian_kl` of q(z | x).
    beta : float

    Raises
    ------
    ValueError
        ``beta`` is negative or not finite.
    """
    _check_weight("beta", beta)
    return log_likelihood - beta * rate


def log_weights(log_likelihood: Tensor, z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    r"""Logarithms of the importance weights of S samples of q, in nats: [S, ...].

    .. math:: \log w = \log p(x \mid z) + \log p(z) - \log q(z \mid x)

    With :math:`\epsilon = (z - \mu) / \sigma` the two densities differ by
    :math:`\tfrac12 \sum (\epsilon^2 + \log \sigma^2 - z^2)`. Never NaN for finite input: where
    :math:`\sigma` is too small for the type to tell z from mu, :math:`\epsilon` counts as 0.

    Parameters
    ----------
    log_likelihood : Tensor [S, ...]
        log p(x | z) of each sample.
    z : Tensor [S, ..., L]
        Samples of q(z | x).
    mu, logvar : Tensor [..., L]
        q(z | x).
    """
    away = z - mu
    noise = torch.where(away == 0, 0.0, away * torch.exp(-0.5 * logvar))  # 0 * inf would be NaN
    return log_likelihood + 0.5 * (noise.square() + logvar - z.square()).sum(dim=-1)


def iwae_bound(log_weights: Tensor, k: int | None = None) -> Tensor:
    """The importance-weighted bound in nats, log of the mean of k weights: [...].

    With k = 1 its expectation is the ELBO; it grows with k towards log p(x) (Burda et al. 2016,
    eq. 8 and theorem 1). S samples make S / k groups of k, over which the bound is averaged.

    Parameters
    ----------
    log_weights : Tensor [S, ...]
    k : int, optional
        Samples in the bound, S if not given.

    Raises
    ------
    ValueError
        S is not a multiple of ``k``.
    """
    n_samples = len(log_weights)
    k = n_samples if k is None else k
    if not 1 <= k <= n_samples or n_samples % k:
        raise ValueError(f"k={k}: expected a divisor of the {n_samples} samples")
    groups = log_weights.unflatten(0, (n_samples // k, k))  # [S / k, k, ...]
    return (groups.logsumexp(dim=1) - math.log(k)).mean(dim=0)


def effective_sample_size(log_weights: Tensor) -> Tensor:
    r"""How many of S samples carry the bound, from 1 to S: [...].

    .. math:: \frac{(\sum_s w_s)^2}{\sum_s w_s^2}

    (Kong 1992.) Near 1, a single sample decides, and the bound would still rise with more. Near S it
    proves nothing by itself: samples that never met the posterior's bulk have equal weights too.

    Parameters
    ----------
    log_weights : Tensor [S, ...]
    """
    return 1 / log_weights.softmax(dim=0).square().sum(dim=0)


def free_bits(kl: Tensor, floor: float) -> Tensor:
    r"""A rate that charges nothing below ``floor`` nats: a scalar, in nats a user.

    .. math:: \sum_g \max\left(\lambda, \tfrac1B \sum_b \mathrm{KL}_{bg}\right)

    The hinge stands on the mean over the minibatch of each group of units, not on single users and
    not on the total (Kingma et al. 2016, eq. 15). Below the floor a group gets no gradient.

    Parameters
    ----------
    kl : Tensor [B, G]
        KL of each user and group, such as `kl_per_unit`.
    floor : float
        Free nats a group, lambda.

    Raises
    ------
    ValueError
        ``floor`` is negative or not finite.
    """
    _check_weight("floor", floor)
    return kl.mean(dim=0).clamp(min=floor).sum()


def active_units(mu: Tensor, threshold: float = 0.01) -> int:
    """Latent dimensions whose posterior mean varies over users by more than ``threshold``.

    (Burda et al. 2016, §5.2.) A unit that has collapsed gives everybody the same mean.

    Parameters
    ----------
    mu : Tensor [N, L]
        Posterior means of N users, at least two.
    threshold : float
        Variance over users.

    Raises
    ------
    ValueError
        Fewer than two users, or a mean that is not finite.
    """
    if len(mu) < 2:
        raise ValueError(f"mu has {len(mu)} rows: a variance over users needs at least two")
    if not mu.isfinite().all():
        raise ValueError("mu holds values that are not finite: they would count as collapsed units")
    return int((mu.var(dim=0) > threshold).sum())


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
        _check_weight("cap", self.cap)
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


def _check_weight(name: str, value: float) -> None:
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name}={value}: expected a finite number of at least 0")


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction={fraction}: the climb takes a part of training, above 0 and at most 1")
