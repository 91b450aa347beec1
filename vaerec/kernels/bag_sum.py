"""The sum of each user's rows: what a linear layer over 0/1 histories comes down to."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from vaerec.batches import Bags


def plain_sum_rows(rows: Tensor, bags: Bags, value: Tensor) -> Tensor:
    """The plain lines that `sum_rows` is tested equal to: they copy a row for each item of each user."""
    picked = value[:, None] * rows[bags.items]  # [N, H]
    return rows.new_zeros(bags.n_users, rows.shape[1]).index_add(0, bags.user(), picked)


def sum_rows(rows: Tensor, bags: Bags, value: Tensor) -> Tensor:
    """Weighted sum of the rows of each user's items, [R, H] -> [B, H]; the same as `plain_sum_rows`.

    Parameters
    ----------
    rows : Tensor [R, H]
        One row an item.
    bags : Bags
        The items of B users, N in all.
    value : Tensor [N]
        What each item counts. It gets no gradient.
    """
    return _SumRows.apply(rows, bags, value)


def _sum(rows: Tensor, bags: Bags, value: Tensor) -> Tensor:
    return F.embedding_bag(bags.items, rows, bags.offsets, mode="sum", per_sample_weights=value,
                           include_last_offset=True)


class _SumRows(torch.autograd.Function):
    """A sum of rows whose gradient is one, too: each item sums the rows of its users.

    PyTorch's own adds user after user to rows that lie far apart, which is slower, most on several threads.
    """

    @staticmethod
    def forward(ctx, rows, bags, value):
        ctx.save_for_backward(*bags, value)
        ctx.n_rows = len(rows)
        return _sum(rows, bags, value)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        *bags, value = ctx.saved_tensors
        items, order = bags[0].sort(stable=True)
        ends = torch.searchsorted(items, torch.arange(ctx.n_rows + 1, device=items.device))
        users = Bags(Bags(*bags).user()[order], ends)  # of each item
        return _sum(grad, users, value[order]), None, None
