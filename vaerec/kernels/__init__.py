"""Operations with gradients written by hand, each beside the plain lines that it is tested equal to.

A reader of the book can skip this room: wherever a model calls one of these, the plain version gives the same
numbers and gradients, in more time or memory.
"""

from vaerec.kernels.bag_sum import plain_sum_rows, sum_rows
from vaerec.kernels.gru import GRU
from vaerec.kernels.linear_multinomial import linear_multinomial, plain_linear_multinomial

__all__ = ["GRU", "linear_multinomial", "plain_linear_multinomial", "plain_sum_rows", "sum_rows"]
