"""Likelihoods of a history given the decoder's logits."""

from __future__ import annotations

import torch
from torch import Tensor

from vaerec.batches import Bags


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
    user = bags.user()  # [N]
    # Sums over hundreds of items need float32 even where autocast made the logits bfloat16.
    exact = torch.promote_types(logits.dtype, torch.float32)
    gathered = logits[user, bags.items].to(exact)  # [N]
    chosen = gathered.new_zeros(bags.n_users).index_add(0, user, gathered)  # [B]
    return chosen - bags.lengths() * logits.to(exact).logsumexp(dim=1)
