"""The package's GRU layer is PyTorch's: values, gradients, and under autocast."""

import pytest
import torch
from torch import nn

from vaerec.kernels import GRU


def twins(dtype=torch.float64):
    """The same weights in both layers."""
    torch.manual_seed(0)
    theirs = nn.GRU(5, 4, batch_first=True).to(dtype)
    ours = GRU(5, 4).to(dtype)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def value_and_gradients(layer, inputs, state):
    """States, last state, and the gradient of a function of both in everything that goes in."""
    out, last = layer(inputs, state)
    into = [inputs, *([] if state is None else [state]), *layer.parameters()]
    return [out, last, *torch.autograd.grad(out.square().sum() + last.sin().sum(), into)]


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("shape", [(3, 7), (1, 1), (2, 40)])
def test_values_and_gradients_are_those_of_pytorch(shape, with_state):
    inputs = torch.randn(*shape, 5, dtype=torch.float64, requires_grad=True)
    state = torch.randn(1, shape[0], 4, dtype=torch.float64, requires_grad=True) if with_state else None
    for ours, theirs in zip(*(value_and_gradients(layer, inputs, state) for layer in twins()), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_gradients_are_those_of_finite_differences():
    layer, _ = twins()
    inputs = torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True)
    state = torch.randn(1, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda inputs, state: layer(inputs, state)[0], (inputs, state))


def test_under_bfloat16_autocast_it_is_close_to_float32():
    ours, theirs = twins(torch.float32)
    inputs = torch.randn(3, 20, 5, requires_grad=True)
    exact = value_and_gradients(theirs, inputs, None)
    with torch.autocast("cpu", torch.bfloat16):
        rough = value_and_gradients(ours, inputs, None)
    assert rough[0].dtype == torch.bfloat16
    assert all(gradient.dtype == torch.float32 for gradient in rough[2:])
    for a, b in zip(rough, exact, strict=True):
        assert (a.float() - b).norm() < 0.03 * b.norm()


def test_nobody_and_nothing_are_as_in_pytorch():
    ours, theirs = twins()
    inputs = torch.empty(0, 3, 5, dtype=torch.float64)
    assert ours(inputs)[0].shape == theirs(inputs)[0].shape
    with torch.no_grad():
        inputs = torch.randn(2, 3, 5, dtype=torch.float64)
        torch.testing.assert_close(ours(inputs)[0], theirs(inputs)[0])
