"""The layers that the autoencoders of this package share."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from vaerec.batches import Bags
from vaerec.kernels import linear_multinomial, sum_rows
from vaerec.likelihoods import LIKELIHOODS


class BagLinear(nn.Module):
    """A linear layer I -> H over 0/1 histories, read as lists of items instead of dense rows.

    The same as ``linear(dropout(normalize(x)))`` on the dense row x [I]: it adds up the weights of
    the history's items, so its cost grows with the history and not with the catalogue.

    Parameters
    ----------
    n_items, width : int
        I and H.
    dropout : float
        Share of a history's items hidden in training; the others count 1 / (1 - dropout).
    normalize : bool
        Scale each row to length 1 before anything is hidden, as Liang et al. (2018) do: N ones
        become N ** -.5.

    Raises
    ------
    ValueError
        ``dropout`` is outside [0, 1).
    """

    def __init__(self, n_items: int, width: int, dropout: float, normalize: bool):
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout}: expected a share in [0, 1)")
        self.dropout, self.normalize = dropout, normalize
        self.weight = nn.Parameter(torch.empty(n_items, width))  # one row an item
        self.bias = nn.Parameter(torch.empty(width))

    def forward(self, bags: Bags) -> Tensor:
        """The histories of B users -> [B, H]; an empty one gives the bias."""
        length = bags.lengths().to(self.weight.dtype)
        value = length.rsqrt() if self.normalize else torch.ones_like(length)
        value = nn.functional.dropout(value[bags.user()], self.dropout, self.training)  # [N]
        # A GPU would have to wait for the number of items left.
        if self.training and self.dropout and value.device.type == "cpu":
            left = value.nonzero()[:, 0]
            bags = Bags(bags.items[left], torch.searchsorted(left, bags.offsets))
            value = value[left]
        return self.bias + sum_rows(self.weight, bags, value)


def tanh_layers(sizes: list[int]) -> nn.Sequential:
    """linear, tanh, linear, ...: no tanh after the last."""
    layers: list[nn.Module] = []
    for size_in, size_out in itertools.pairwise(sizes):
        layers += [nn.Linear(size_in, size_out), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def decoded_log_likelihood(decoder: nn.Sequential, z: Tensor, bags: Bags, likelihood: str) -> Tensor:
    """Sum over users of log p(x | z) in nats, a scalar: ``LIKELIHOODS[likelihood](decoder(z), bags).sum()``.

    For the multinomial the decoder's last layer is fused with the softmax, so that the logits
    [B, I] are never held all at once.

    Parameters
    ----------
    decoder : nn.Sequential
        Ends in a linear layer to I items.
    z : Tensor [B, L]
    bags : Bags
        The items of the B users.
    likelihood : str
        A key of `vaerec.likelihoods.LIKELIHOODS`.
    """
    if likelihood == "multinomial":
        last = decoder[-1]
        return linear_multinomial(decoder[:-1](z), last.weight, last.bias, bags)
    return LIKELIHOODS[likelihood](decoder(z), bags).sum()


def draw_weights(model: nn.Module, xavier: Callable = nn.init.xavier_uniform_) -> None:
    """Xavier weights and truncated normal biases of scale .001, as in the code of Liang et al."""
    for module in model.modules():
        if isinstance(module, nn.Linear | BagLinear):
            xavier(module.weight)
            nn.init.trunc_normal_(module.bias, std=0.001, a=-0.002, b=0.002)
