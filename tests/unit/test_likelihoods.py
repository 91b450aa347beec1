"""The likelihoods of a history, on paper."""

import numpy as np
import pytest
import torch

from vaerec.batches import Bags
from vaerec.likelihoods import (
    bernoulli_log_likelihood,
    gaussian_log_likelihood,
    multinomial_log_likelihood,
)


def bags(histories) -> Bags:
    return Bags.from_histories([np.array(h, dtype=np.int64) for h in histories], torch.device("cpu"))


def test_likelihoods_of_an_empty_history():
    r"""Nothing chosen: 0 for the multinomial; a no for each item, or a mean of zero, for the others."""
    f = torch.tensor([[0.3, -1.0, 2.0]], dtype=torch.float64)
    assert multinomial_log_likelihood(f, bags([[]])).item() == 0
    expected = -np.log1p(np.exp(f.numpy())).sum()
    assert bernoulli_log_likelihood(f, bags([[]])).item() == pytest.approx(expected, abs=1e-12)
    assert gaussian_log_likelihood(f, bags([[]])).item() == pytest.approx(-0.5 * (0.09 + 1 + 4), abs=1e-12)


def test_a_repeated_item_counts_each_time():
    f = torch.tensor([[0.3, -1.0, 2.0]], dtype=torch.float64)
    twice = multinomial_log_likelihood(f, bags([[1, 1, 2]]))
    torch.testing.assert_close(twice, f[:, 1] * 2 + f[:, 2] - 3 * f.logsumexp(dim=1))
