"""Likelihoods of a history given the decoder's logits."""

from __future__ import annotations

import torch
from torch import Tensor

from vaerec.batches import Bags
from vaerec.kernels.linear_multinomial import linear_multinomial as linear_multinomial  # its older place


def multinomial_log_likelihood(logits: Tensor, bags: Bags) -> Tensor:
    r"""Log-likelihood of each user's items under one softmax over the catalogue, [B].

    .. math:: \log p(x \mid z) = \sum_{i \in x} f_i - |x| \log \sum_j e^{f_j}

    (Liang et al. 2018, eq. 2.) The multinomial coefficient is left out: it does not depend on the
    parameters, and without it this is the likelihood of the ordered list. The target is never
    written as a dense row: only the logits of the user's items are gathered.

    Parameters
    ----------
    logits : Tensor [B, I]
        Unnormalised log-probabilities f.
    bags : Bags
        The items of the B users.
    """
    logits = _at_least_float32(logits)
    return _chosen(logits, bags) - bags.lengths() * logits.logsumexp(dim=1)


def bernoulli_log_likelihood(logits: Tensor, bags: Bags) -> Tensor:
    r"""Log-likelihood of a yes or no for each item by itself ("logistic"), [B].

    .. math:: \log p(x \mid z) = \sum_{i \in x} f_i - \sum_j \log(1 + e^{f_j})

    (Liang et al. 2018, eq. 4.) Shapes as in `multinomial_log_likelihood`.
    """
    logits = _at_least_float32(logits)
    return _chosen(logits, bags) - torch.nn.functional.softplus(logits).sum(dim=1)


def gaussian_log_likelihood(logits: Tensor, bags: Bags) -> Tensor:
    r"""Log-likelihood of the 0/1 row under unit-variance Gaussians around f, without constants, [B].

    .. math:: \log p(x \mid z) = \sum_{i \in x} f_i - \tfrac12 |x| - \tfrac12 \sum_j f_j^2
        = -\tfrac12 \|x - f\|^2

    (Liang et al. 2018, eq. 3, with all confidences equal.) Shapes as in
    `multinomial_log_likelihood`.
    """
    logits = _at_least_float32(logits)
    return _chosen(logits, bags) - 0.5 * bags.lengths() - 0.5 * logits.square().sum(dim=1)


LIKELIHOODS = {"multinomial": multinomial_log_likelihood, "bernoulli": bernoulli_log_likelihood,
               "gaussian": gaussian_log_likelihood}


def _chosen(logits: Tensor, bags: Bags) -> Tensor:
    """Sum of the logits of each user's items: [B, I] -> [B]."""
    _check_rows(logits, bags)
    user = bags.user()  # [N]
    return logits.new_zeros(bags.n_users).index_add(0, user, logits[user, bags.items])


def _at_least_float32(logits: Tensor) -> Tensor:
    """Sums over hundreds of items need float32 even where autocast made the logits bfloat16."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _check_rows(rows: Tensor, bags: Bags) -> None:
    if len(rows) != bags.n_users:
        raise ValueError(f"{len(rows)} rows for the bags of {bags.n_users} users: expected as many")
