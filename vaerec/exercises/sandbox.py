"""Run a reader's function on one case, whatever it does: raise, return nothing, change its input, hang."""

from __future__ import annotations

import contextlib
import copy
import signal
import threading
import traceback
from dataclasses import dataclass

import numpy as np
import torch

from vaerec.exercises import bank


class TooLong(BaseException):
    """Not an `Exception`, so that the reader's own ``except Exception`` does not swallow it."""


@dataclass(frozen=True)
class Outcome:
    """What one case gave: a value, or the trouble that stood in its way."""

    value: object = None
    trouble: str = ""  # "raised", "nothing", "form" or "too long"
    error: BaseException | None = None
    changed: bool = False  # did the function change one of its arguments?


def run(call: str, name: str, function, seconds: float) -> Outcome:
    """Evaluate ``call`` with ``function`` standing for ``name``, for at most ``seconds``.

    The call builds its arguments anew each time. The limit holds on the main thread of Linux and
    macOS, Colab and Kaggle included; elsewhere there is none, and the kernel must be interrupted.
    """
    watched = _Watched(function)
    try:
        with time_limit(seconds):
            value = plain(bank.evaluate(call, **{name: watched}))
    except TooLong:
        return Outcome(trouble="too long")
    except (Exception, SystemExit) as error:
        # After a return the error comes from the call around the function, which uses the result.
        trouble = ("nothing" if watched.returned_none else "form") if watched.returned else "raised"
        return Outcome(trouble=trouble, error=error, changed=watched.changed)
    if watched.returned_none:
        return Outcome(trouble="nothing", changed=watched.changed)
    return Outcome(value, changed=watched.changed)


@contextlib.contextmanager
def time_limit(seconds: float):
    """Raise `TooLong` in the code inside after this time, where the platform can."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number, frame):
        raise TooLong

    handler = signal.signal(signal.SIGALRM, stop)
    # Repeated: an exception in a finalizer is lost. Only a bare `except:` in an endless loop survives.
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds, 0.2)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left:  # somebody else's alarm, such as a test runner's
            signal.setitimer(signal.ITIMER_REAL, left)


def line_of(error: BaseException, function) -> str:
    """The line of the reader's function in which the error arose, or ""."""
    code = getattr(function, "__code__", None)
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__)
             if code and frame.filename == code.co_filename]
    return lines[-1] if lines and lines[-1] else ""


def plain(value):
    """A copy as an array if it can be one, as a list of such parts if it is a ragged sequence."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy().copy()
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple) and any(isinstance(part, torch.Tensor) for part in value):
        return [plain(part) for part in value]
    try:
        array = np.array(value)
    except ValueError:
        array = np.array(None)
    if array.dtype.kind in "biuf":
        return array
    return [plain(part) for part in value] if isinstance(value, list | tuple) else copy.deepcopy(value)


def alike(one, other, tolerance: float) -> bool:
    """Whether two results of `plain` have one shape and, up to the tolerance, one value."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.shape == other.shape and np.allclose(
            one.astype(float), other.astype(float), rtol=0, atol=tolerance, equal_nan=True)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(alike(a, b, tolerance) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key], tolerance) for key in one)
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # whatever a foreign class does when it is compared
        return False


class _Watched:
    """A function that notices whether it returned, and whether it changed its arguments."""

    def __init__(self, function):
        self.function = function
        self.returned = self.returned_none = self.changed = False

    def __call__(self, *arguments, **named):
        given = [*arguments, *named.values()]
        before = [plain(value) for value in given if _can_change(value)]
        result = self.function(*arguments, **named)
        after = [plain(value) for value in given if _can_change(value)]
        self.returned = True
        self.returned_none |= result is None
        self.changed |= not alike(before, after, 0)
        return result


def _can_change(value) -> bool:
    # A generator of random numbers changes by being used, as it should.
    return isinstance(value, np.ndarray | torch.Tensor | list | dict | set)
