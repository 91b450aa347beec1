"""The last layer and the softmax in one: the multinomial log-likelihood without the logits of all rows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from vaerec.batches import Bags


def plain_linear_multinomial(hidden: Tensor, weight: Tensor, bias: Tensor, bags: Bags,
                             row_weight: Tensor | None = None) -> Tensor:
    """The plain lines that `linear_multinomial` is tested equal to; they hold [B, I]."""
    row_weight = torch.ones(len(hidden), device=hidden.device) if row_weight is None else row_weight
    log_softmax = F.linear(hidden, weight, bias).log_softmax(dim=1)  # [B, I]
    user = bags.user()  # [N]
    return (row_weight[user] * log_softmax[user, bags.items]).sum()


def linear_multinomial(hidden: Tensor, weight: Tensor, bias: Tensor, bags: Bags,
                       row_weight: Tensor | None = None, chunk: int | None = None) -> Tensor:
    r"""Weighted sum of multinomial log-likelihoods straight from the last hidden layer: a scalar.

    .. math:: \sum_b w_b \log p(x_b \mid h_b), \qquad f_b = W h_b + c

    The same as `plain_linear_multinomial` without ever holding [B, I]: logits exist for ``chunk`` rows
    at a time. Since :math:`\partial \log p / \partial f = x - |x| \operatorname{softmax} f` needs nothing
    but those logits, the gradients are finished in the forward pass, in the logits' own memory, and
    the backward pass only scales them. Under autocast the matrix products run in the lower precision,
    the softmax and all sums in float32.

    Parameters
    ----------
    hidden : Tensor [B, H]
    weight : Tensor [I, H]
    bias : Tensor [I]
    bags : Bags
        The items of the B rows; a row without items adds 0.
    row_weight : Tensor [B], optional
        1 for each row if not given. It gets no gradient.
    chunk : int, optional
        Rows whose logits exist at once. By default as many as fit into 8 MB, and at least 128:
        with fewer the matrix products slow down.

    Raises
    ------
    ValueError
        ``hidden``, ``bags`` and ``row_weight`` differ in B, or ``chunk`` is below 1.
    """
    wide = torch.promote_types(hidden.dtype, torch.float32)
    row_weight = torch.ones(len(hidden), device=hidden.device) if row_weight is None else row_weight
    chunk = max(128, 2**21 // len(weight)) if chunk is None else chunk
    if chunk < 1:
        raise ValueError(f"chunk={chunk}: expected at least one row")
    if len(hidden) != bags.n_users:
        raise ValueError(f"{len(hidden)} rows for the bags of {bags.n_users} users: expected as many")
    if row_weight.shape != (len(hidden),):
        raise ValueError(f"row_weight has shape {tuple(row_weight.shape)}, expected ({len(hidden)},)")
    return _LinearMultinomial.apply(hidden, weight, bias, bags, row_weight.to(wide), chunk)


class _LinearMultinomial(torch.autograd.Function):

    @staticmethod
    def forward(ctx, hidden, weight, bias, bags, row_weight, chunk):
        inputs, device = (hidden, weight, bias), hidden.device.type
        lower = torch.is_autocast_enabled(device) and weight.dtype != torch.float64  # as torch's linear
        low = torch.get_autocast_dtype(device) if lower else weight.dtype
        grads = [torch.zeros_like(tensor, dtype=row_weight.dtype) for tensor in inputs]
        total = row_weight.new_zeros(())
        with torch.autocast(device, enabled=False):
            hidden, weight, bias = (tensor.to(low) for tensor in inputs)
            memory = _aligned(min(chunk, len(hidden)), len(weight), like=row_weight)
            product = torch.empty_like(weight) if low != row_weight.dtype else None
            for first, part in enumerate(bags.split(chunk)):
                rows = slice(first * chunk, (first + 1) * chunk)
                logits = _linear_into(memory[:part.n_users], hidden[rows], weight, bias)  # [chunk, I]
                value, push = _multinomial_push(logits, part, row_weight[rows])
                total += value
                grads[2] += push.sum(dim=0)
                push = push.to(low)
                grads[0][rows] = (push @ weight).to(row_weight.dtype)
                _add_product(grads[1], push.T, hidden[rows], product)
        ctx.dtypes = [tensor.dtype for tensor in inputs]
        ctx.save_for_backward(*grads)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        # Scaled before it is rounded: a loss scaler's factor must come before float16.
        scaled = ((grad * own).to(dtype) for own, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True))
        return *scaled, None, None, None


def _aligned(rows: int, columns: int, like: Tensor) -> Tensor:
    """Uninitialised [rows, columns] with each row at a multiple of 64 bytes.

    A CPU's matrix product writes such rows in two thirds of the time, to the same numbers.
    """
    line = 64 // like.element_size()
    return like.new_empty(rows, -(-columns // line) * line)[:, :columns]


def _linear_into(out: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``linear(hidden, weight, bias)`` in memory that is there already, of the same or a wider type."""
    if out.dtype == weight.dtype:
        return torch.addmm(bias, hidden, weight.T, out=out)
    return out.copy_(torch.addmm(bias, hidden, weight.T))


def _multinomial_push(logits: Tensor, bags: Bags, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted log-likelihood, and its gradient [B, I] written over the logits [B, I]."""
    user = bags.user()
    value = (weight[user] * logits[user, bags.items]).sum()
    peak = logits.amax(dim=1)  # [B]
    mass = logits.sub_(peak[:, None]).exp_()  # the softmax before it is divided by its sum
    norm = mass.sum(dim=1)
    spent = weight * bags.lengths()
    push = mass.mul_((-spent / norm)[:, None])
    push.index_put_((user, bags.items), weight[user], accumulate=True)
    return value - (spent * (norm.log() + peak)).sum(), push


def _add_product(total: Tensor, a: Tensor, b: Tensor, memory: Tensor | None) -> None:
    """Add a @ b to total; where their types differ, the product is written into ``memory`` first."""
    if a.dtype == total.dtype:
        total.addmm_(a, b)
        return
    torch.mm(a, b, out=memory)
    # In pieces that stay in the cache: a CPU adds numbers of two types five times slower in one go.
    for whole, part in zip(total.split(2048), memory.split(2048), strict=True):
        whole += part.to(total.dtype)
