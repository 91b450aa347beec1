"""Operations with gradients of their own against the plain lines beside them."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vaerec.batches import Bags
from vaerec.kernels import linear_multinomial, plain_sum_rows, sum_rows
from vaerec.kernels import plain_linear_multinomial as plain
from vaerec.kernels.linear_multinomial import _aligned
from vaerec.likelihoods import (
    LIKELIHOODS,
    multinomial_log_likelihood,
)

N_ITEMS, WIDTH = 37, 5
# Two empty rows, one of them last; repeats; a row with a single item; a row longer than the catalogue.
HISTORIES = [[3, 3, 9], [], [36], [*range(37), 0, 0, 5], [1, 2], [8, 8, 8, 8], [0, 36, 7], []]
N_ROWS = len(HISTORIES)


def bags(histories=HISTORIES) -> Bags:
    return Bags.from_histories([np.array(h, dtype=np.int64) for h in histories], torch.device("cpu"))


def parameters(dtype=torch.float64, n_rows=N_ROWS, n_items=N_ITEMS):
    """hidden [B, H], weight [I, H], bias [I]."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((n_rows, WIDTH), (n_items, WIDTH), (n_items,))
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


def value_and_gradients(function, inputs, *rest, **options):
    value = function(*inputs, *rest, **options)
    return value, torch.autograd.grad(value, inputs)


def assert_same(ours, theirs, **tolerance):
    torch.testing.assert_close(ours[0], theirs[0], **tolerance)
    for mine, other in zip(ours[1], theirs[1], strict=True):
        torch.testing.assert_close(mine, other, **tolerance)


def assert_exact(ours, theirs):
    assert_same(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("weighted", [False, True], ids=["sum", "row_weight"])
@pytest.mark.parametrize("chunk", [None, 1, 2, 3, N_ROWS - 1, N_ROWS, N_ROWS + 1, 1000])
def test_the_fused_function_equals_the_plain_one(chunk, weighted):
    row_weight = torch.linspace(-0.5, 2, N_ROWS, dtype=torch.float64) if weighted else None
    ours = value_and_gradients(linear_multinomial, parameters(), bags(), row_weight=row_weight, chunk=chunk)
    theirs = value_and_gradients(plain, parameters(), bags(), row_weight)
    assert_exact(ours, theirs)


def test_the_plain_function_is_the_likelihood_of_the_book():
    hidden, weight, bias = parameters()
    of_rows = multinomial_log_likelihood(F.linear(hidden, weight, bias), bags())
    torch.testing.assert_close(plain(hidden, weight, bias, bags()), of_rows.sum())


def test_the_sum_of_rows_equals_the_plain_one():
    """Values and gradients, also of items that stand twice in a bag, or in none."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(N_ITEMS, WIDTH, generator=generator, dtype=torch.float64).requires_grad_()
    value = torch.randn(len(bags().items), generator=generator, dtype=torch.float64)
    push = torch.randn(N_ROWS, WIDTH, generator=generator, dtype=torch.float64)
    ours, theirs = (function(rows, bags(), value) for function in (sum_rows, plain_sum_rows))
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(sums, rows, push)[0] for sums in (ours, theirs)))


def test_the_value_by_hand():
    r"""One user, items 0 and 2 of three: log p = f_0 + f_2 - 2 log sum_j e^{f_j}, f = W h + c."""
    h = torch.tensor([[2.0]], dtype=torch.float64)
    W, c = torch.tensor([[0.5], [0.0], [-1.0]]).double(), torch.tensor([0.0, 1.0, 0.5]).double()
    f = [1.0, 1.0, -1.5]
    expected = f[0] + f[2] - 2 * np.log(np.exp(f).sum())
    assert linear_multinomial(h, W, c, bags([[0, 2]])).item() == pytest.approx(expected, abs=1e-12)


def test_an_empty_row_adds_nothing_and_gets_no_gradient():
    inputs = parameters()
    value, (of_hidden, *_) = value_and_gradients(linear_multinomial, inputs, bags())
    empty = [not history for history in HISTORIES]
    assert (of_hidden[empty] == 0).all() and (of_hidden[[not e for e in empty]] != 0).any(dim=1).all()
    kept = [row for row, history in enumerate(HISTORIES) if history]
    shorter = [inputs[0][kept], *inputs[1:]]
    torch.testing.assert_close(linear_multinomial(*shorter, bags([HISTORIES[row] for row in kept])), value)


@pytest.mark.parametrize("histories", [[], [[], []]], ids=["no rows", "only empty rows"])
def test_a_batch_without_items(histories):
    inputs = parameters(n_rows=len(histories))
    value, gradients = value_and_gradients(linear_multinomial, inputs, bags(histories))
    assert value.item() == 0
    assert all((gradient == 0).all() for gradient in gradients)


def test_gradcheck():
    function = lambda *inputs: linear_multinomial(*inputs, bags(), chunk=3)  # noqa: E731
    assert torch.autograd.gradcheck(function, parameters())


def test_a_scaled_loss_and_two_backward_passes():
    ours, theirs = parameters(), parameters()
    value = linear_multinomial(*ours, bags())
    (-0.25 * value).backward(retain_graph=True)
    value.backward()
    (0.75 * plain(*theirs, bags())).backward()
    for mine, other in zip(ours, theirs):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-10, atol=1e-10)


def test_the_gradient_flows_into_layers_below():
    ours, theirs = parameters(), parameters()
    linear_multinomial(ours[0].tanh() * 2, *ours[1:], bags(), chunk=3).backward()
    plain(theirs[0].tanh() * 2, *theirs[1:], bags()).backward()
    for mine, other in zip(ours, theirs):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-10, atol=1e-10)


def test_inputs_that_are_not_contiguous():
    hidden, weight, bias = (tensor.detach() for tensor in parameters())
    strided = [hidden.T.contiguous().T, weight.T.contiguous().T, bias.repeat_interleave(2)[::2]]
    assert not any(tensor.is_contiguous() for tensor in strided)
    strided = [tensor.requires_grad_() for tensor in strided]
    ours = value_and_gradients(linear_multinomial, strided, bags(), chunk=3)
    assert_exact(ours, value_and_gradients(plain, parameters(), bags()))
    one = parameters(n_rows=1)[0]
    expanded = [one.expand(N_ROWS, WIDTH), *parameters()[1:]]  # stride 0
    ours = value_and_gradients(linear_multinomial, expanded, bags(), chunk=3)
    assert_exact(ours, value_and_gradients(plain, expanded, bags()))


def test_a_frozen_input_is_left_alone():
    hidden, weight, bias = parameters()
    linear_multinomial(hidden, weight.detach(), bias, bags()).backward()
    theirs = parameters()
    plain(*theirs, bags()).backward()
    torch.testing.assert_close(hidden.grad, theirs[0].grad, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(bias.grad, theirs[2].grad, rtol=1e-10, atol=1e-10)


def test_the_inputs_are_not_written_to():
    inputs, before = parameters(), parameters()
    items = bags()
    linear_multinomial(*inputs, items, chunk=2).backward()
    assert all(torch.equal(a, b) for a, b in zip(inputs, before))
    assert torch.equal(items.items, bags().items) and torch.equal(items.offsets, bags().offsets)


def test_nothing_as_large_as_the_logits_is_kept_for_backward():
    kept = {"ours": [], "plain": []}
    for name, function in {"ours": linear_multinomial, "plain": plain}.items():
        # More rows and items than units: [B, I] is the largest shape by far.
        inputs, many = parameters(n_rows=60, n_items=90), bags([[1, 2]] * 60)
        with torch.autograd.graph.saved_tensors_hooks(
                lambda tensor, name=name: kept[name].append(tensor.shape) or tensor, lambda tensor: tensor):
            function(*inputs, many)
    assert torch.Size([60, 90]) in kept["plain"]  # the hook sees what it looks for
    assert sorted(kept["ours"]) == [(60, WIDTH), (90,), (90, WIDTH)]


@pytest.mark.parametrize("weighted", [False, True])
def test_bfloat16_autocast_stays_close_to_float32(weighted):
    row_weight = torch.linspace(0.5, 2, N_ROWS) if weighted else None
    inputs = parameters(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        ours = value_and_gradients(linear_multinomial, inputs, bags(), row_weight=row_weight, chunk=3)
        rounded = value_and_gradients(plain, inputs, bags(), row_weight)
    exact = value_and_gradients(plain, inputs, bags(), row_weight)
    assert ours[0].dtype == torch.float32
    assert [gradient.dtype for gradient in ours[1]] == [torch.float32] * 3
    assert ours[0].item() == pytest.approx(exact[0].item(), rel=0.01)
    for mine, other, true in zip(ours[1], rounded[1], exact[1]):
        error = (mine - true).norm() / true.norm()
        assert error < 0.02
        # no worse than torch itself in the same precision, up to chance in the rounding
        assert error < 2 * (other - true).norm() / true.norm() + 0.002


def test_low_precision_hidden_under_autocast_gets_its_own_dtype_back():
    hidden, weight, bias = parameters(torch.float32)
    low = hidden.detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        linear_multinomial(low, weight, bias, bags()).backward()
    assert (low.grad.dtype, weight.grad.dtype, bias.grad.dtype) == (torch.bfloat16, *[torch.float32] * 2)


def test_autocast_leaves_float64_alone():
    inputs = parameters()
    with torch.autocast("cpu", torch.bfloat16):
        ours = value_and_gradients(linear_multinomial, inputs, bags())
    assert_exact(ours, value_and_gradients(plain, parameters(), bags()))


def test_half_precision_gradients_are_scaled_before_they_are_rounded():
    """A loss scaler multiplies by 2^16 so that float16 does not flush small gradients to zero."""
    hidden, weight, bias = parameters(torch.float32)
    half = hidden.detach().half().requires_grad_()
    small = torch.full((N_ROWS,), 1e-6)
    value = linear_multinomial(half, weight.detach().half(), bias.detach().half(), bags(), row_weight=small)
    (2.0**16 * value).backward()
    plain(hidden, weight, bias, bags(), small * 2.0**16).backward()
    # the push itself is float16, so a few per cent are lost, but nothing becomes zero
    assert (half.grad.float() - hidden.grad).norm() < 0.1 * hidden.grad.norm()


def test_large_logits_do_not_overflow():
    hidden, weight, bias = parameters(torch.float32)
    ours = linear_multinomial(hidden, weight, bias, bags(), chunk=3)
    shifted = linear_multinomial(hidden, weight, bias + 2.0**12, bags(), chunk=3)
    torch.testing.assert_close(shifted, ours, rtol=1e-3, atol=0.05)  # float32 at 4096: steps of .0005
    extreme = [hidden.detach() * 1e3, weight.detach(), bias.detach()]
    assert linear_multinomial(*extreme, bags()).isfinite()


def test_random_ragged_batches_agree():
    generator = np.random.default_rng(0)
    for _ in range(20):
        n_rows = int(generator.integers(1, 30))
        histories = [generator.integers(0, N_ITEMS, generator.integers(0, 9)) for _ in range(n_rows)]
        row_weight = torch.from_numpy(generator.random(n_rows))
        chunk = int(generator.integers(1, n_rows + 3))
        ours = value_and_gradients(linear_multinomial, parameters(n_rows=n_rows), bags(histories),
                                   row_weight=row_weight, chunk=chunk)
        assert_exact(ours, value_and_gradients(plain, parameters(n_rows=n_rows), bags(histories), row_weight))


@pytest.mark.parametrize("options, message", [
    ({"chunk": 0}, "chunk=0"), ({"chunk": -3}, "chunk=-3"),
    ({"row_weight": torch.ones(N_ROWS + 1)}, "row_weight has shape"),
    ({"row_weight": torch.ones(N_ROWS, 1)}, "row_weight has shape"),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        linear_multinomial(*parameters(), bags(), **options)


@pytest.mark.parametrize("histories", [HISTORIES[:-1], [*HISTORIES, [1]]], ids=["too few", "too many"])
def test_bags_of_other_users_are_refused(histories):
    with pytest.raises(ValueError, match="rows for the bags of"):
        linear_multinomial(*parameters(), bags(histories))
    for likelihood in LIKELIHOODS.values():
        with pytest.raises(ValueError, match="rows for the bags of"):
            likelihood(torch.zeros(N_ROWS, N_ITEMS), bags(histories))


def test_an_item_outside_the_catalogue_is_refused():
    with pytest.raises(IndexError):
        linear_multinomial(*parameters(n_rows=1), bags([[N_ITEMS]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("columns", [1, 16, 37])
def test_rows_of_logits_begin_at_multiples_of_64_bytes(dtype, columns):
    memory = _aligned(3, columns, like=torch.zeros((), dtype=dtype))
    assert memory.shape == (3, columns) and memory.dtype == dtype
    assert all(row.data_ptr() % 64 == 0 for row in memory)
