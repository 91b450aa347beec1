"""The six-film world: a VAE so small that everything in it can be computed.

One latent taste z in R, from comedy (left) to noir (right), with prior N(0, 1). Six films, a softmax:

    P(film i | z) = softmax_i(slope_i z + bias_i)

A history is a list of films, drawn independently given z. Since z is one number, log p(x), the true
posterior and every KL are integrals over a line, and a fine grid gives them to many digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, pi

import torch
from torch import Tensor

TITLES = ("Umbrella Tango", "The Second Goat", "Sunday Tram", "Paper Harbour", "Nine Lamps",
          "Rain on Bela Street")
SLOPE = torch.tensor([-2.0, -1.2, -0.4, 0.4, 1.2, 2.0], dtype=torch.float64)
BIAS = torch.tensor([0.6, 0.0, 0.3, 0.2, 0.0, 0.4], dtype=torch.float64)

STEP = 1 / 256
GRID = torch.arange(-12, 12 + STEP, STEP, dtype=torch.float64)
"""Places z on which densities are evaluated, [G]; outside, the prior holds less than 1e-32."""


def log_probabilities(z: Tensor) -> Tensor:
    """Log-probability of each film: [...] -> [..., 6]."""
    return (z[..., None] * SLOPE + BIAS).log_softmax(dim=-1)


def log_likelihood(z: Tensor, history: Sequence[int]) -> Tensor:
    """Log p(x | z) of a history, films 0 to 5 in any order, repeats allowed: [...] -> [...].

    Raises
    ------
    ValueError
        A film outside 0 to 5.
    """
    films = torch.as_tensor(history, dtype=torch.int64)
    if ((films < 0) | (films >= len(TITLES))).any():
        raise ValueError(f"history={list(history)}: expected films from 0 to {len(TITLES) - 1}")
    return log_probabilities(z)[..., films].sum(dim=-1)


def log_normal(z: Tensor, mu: float | Tensor = 0.0, sigma: float | Tensor = 1.0) -> Tensor:
    """Log-density of N(mu, sigma²), by default the prior: [...] -> [...].

    Tensors ``mu`` and ``sigma`` broadcast against ``z``, and gradients flow through them.
    """
    sigma = torch.as_tensor(sigma, dtype=z.dtype)
    return -0.5 * ((z - mu) / sigma) ** 2 - sigma.log() - 0.5 * log(2 * pi)


def log_evidence(history: Sequence[int]) -> Tensor:
    """Log p(x), the logarithm of the integral of p(x | z) p(z) over the grid, a scalar.

    The sum over a grid is the trapezoidal rule with ends that are zero, which for such smooth
    functions is exact to rounding.
    """
    return (log_likelihood(GRID, history) + log_normal(GRID)).logsumexp(dim=0) + log(STEP)


def log_posterior(history: Sequence[int]) -> Tensor:
    """Log p(z | x) on the grid, [G]."""
    return log_likelihood(GRID, history) + log_normal(GRID) - log_evidence(history)
