"""Whether an answer is right, and if not, which mistake it looks like; never the answer itself."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from vaerec.exercises import bank, sandbox
from vaerec.exercises.bank import Exercise
from vaerec.exercises.sandbox import Outcome, alike

SECONDS = 10.0  # for one case
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Verdict:
    """What the judge says; ``right`` is None where the reader judges."""

    right: bool | None
    message: str
    answer: object = None  # as it is kept: a number or a text; None for a function


def judge(exercise: Exercise, answer, seconds: float = SECONDS) -> Verdict:
    """Judge an answer.

    Raises
    ------
    ValueError
        The answer is not of the kind that the exercise asks for.
    """
    return {"number": _judge_number, "choice": _judge_choice, "text": _judge_text,
            "code": _judge_code}[exercise.check](exercise, answer, seconds)


def bare(text: str) -> str:
    """Letters and digits alone, so that blanks, case and signs do not matter."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def option(exercise: Exercise, answer) -> str:
    """The option that was meant: by its text, its letter or its place (from 1).

    Raises
    ------
    ValueError
        It is none of them.
    """
    given = bare(str(answer))
    by_text = {bare(text): text for text in exercise.options}
    by_letter = dict(zip(LETTERS, exercise.options, strict=False))
    by_place = {str(place): text for place, text in enumerate(exercise.options, 1)}
    for names in (by_text, by_letter, by_place):
        if given in names:
            return names[given]
    raise ValueError(f"{exercise.name} has no option {answer!r}; give a letter from a to "
                     f"{LETTERS[len(exercise.options) - 1]} or the text of the option:\n{lettered(exercise)}")


def lettered(exercise: Exercise) -> str:
    """The options of a choice, one a line, each with its letter."""
    pairs = zip(LETTERS, exercise.options, strict=False)
    return "\n".join(f"- **{letter}** {text}" for letter, text in pairs)


def _judge_number(exercise: Exercise, answer, seconds) -> Verdict:
    number = _number(exercise, answer)
    if abs(number - bank.evaluate(exercise.answer)) <= exercise.tolerance:
        return Verdict(True, "", number)
    away = {abs(number - bank.evaluate(wrong["answer"])): wrong["message"] for wrong in exercise.wrong}
    message = away[min(away)] if min(away) <= exercise.tolerance else ""
    return Verdict(False, message, number)


def _number(exercise: Exercise, answer) -> float:
    try:
        if isinstance(answer, str | bool | np.bool_):
            raise TypeError
        number = float(answer)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{exercise.name} asks for one number, not {_short(answer)}") from error
    if not math.isfinite(number):
        raise ValueError(f"{exercise.name} asks for a finite number, not {number}")
    return number


def _judge_choice(exercise: Exercise, answer, seconds) -> Verdict:
    chosen = option(exercise, answer)
    messages = {wrong["answer"]: wrong["message"] for wrong in exercise.wrong}
    return Verdict(chosen == exercise.answer, messages.get(chosen, ""), chosen)


def _judge_text(exercise: Exercise, answer, seconds) -> Verdict:
    if not isinstance(answer, str) or not answer.strip():
        raise ValueError(f"{exercise.name} asks for a text of your own, not {_short(answer)}")
    claims = "\n".join(f"- *{wrong['answer']}* {wrong['message']}" for wrong in exercise.wrong)
    return Verdict(None, f'Compare it with `vr.exercises.solution("{exercise.name}")`. Do you claim one of '
                         f"these?\n\n{claims}", answer)


def _judge_code(exercise: Exercise, function, seconds: float) -> Verdict:
    if not callable(function):
        raise ValueError(
            f"{exercise.name} asks for a function, not {_short(function)}; pass the function itself, "
            f'without quotes or parentheses: vr.exercises.check("{exercise.name}", {exercise.function})')
    outcomes = []
    for case in exercise.cases:
        outcomes.append(sandbox.run(case["call"], exercise.function, function, seconds))
        if outcomes[-1].trouble == "too long":
            where = _where(exercise, len(outcomes) - 1)
            return Verdict(False, f"Case {where} did not end within {seconds:g} seconds. Is there a loop "
                                  "that never stops?")
    right = [not outcome.trouble and alike(outcome.value, _expected(case), case.get("tolerance", 0))
             for case, outcome in zip(exercise.cases, outcomes, strict=True)]
    changed = any(outcome.changed for outcome in outcomes)
    aside = ("Your function changes what is passed to it. The caller still needs that: work on a copy."
             if changed else "")
    if all(right):
        return Verdict(not changed, aside and f"The values are right. {aside}")
    recognised = _recognised(exercise, outcomes)
    if recognised:  # one mistake at a time: the message may be about the change itself
        return Verdict(False, recognised)
    return Verdict(False, f"{_explained(exercise, function, outcomes, right)} {aside}".strip())


def _expected(case: dict):
    return sandbox.plain(bank.evaluate(case["expect"]))


def _recognised(exercise: Exercise, outcomes: list[Outcome]) -> str:
    """The message of the listed mistake that gives the same results on every case, or ""."""
    for wrong in exercise.wrong:
        if _same_results(exercise, wrong["answer"], outcomes):
            return wrong["message"]
    if all(outcome.trouble == "nothing" for outcome in outcomes):
        return "Your function returns nothing (`None`). Does it end with `return`?"
    if _same_results(exercise, exercise.stub, outcomes):
        return "These are still the results of the empty stub. Replace its body."
    return ""


def _same_results(exercise: Exercise, source: str, outcomes: list[Outcome]) -> bool:
    function = bank.function_of(source, exercise.function)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        results = [sandbox.run(case["call"], exercise.function, function, SECONDS)
                   for case in exercise.cases]
    return all(one.trouble == other.trouble and type(one.error) is type(other.error)
               and alike(one.value, other.value, case.get("tolerance", 0))
               for case, one, other in zip(exercise.cases, outcomes, results, strict=True))


def _explained(exercise: Exercise, function, outcomes: list[Outcome], right: list[bool]) -> str:
    """What went wrong in the first case that is not right."""
    place = right.index(False)
    outcome, where = outcomes[place], _where(exercise, place)
    if outcome.trouble == "nothing":
        return f"Case {where} returns nothing (`None`). Does every path end with `return`?"
    if outcome.trouble == "raised":
        line = sandbox.line_of(outcome.error, function)
        said = f"{type(outcome.error).__name__}: {outcome.error}".strip(" :")
        return f"Case {where} raises {_code(said)}" + (f" in the line {_code(line)}." if line else ".")
    if outcome.trouble == "form":
        return f"Case {where}: your function returns something of another form ({outcome.error})."
    got, want = outcome.value, _expected(exercise.cases[place])
    if isinstance(want, np.ndarray) and isinstance(got, np.ndarray) and got.shape != want.shape:
        return f"Case {where} gives {_form(got)}; it must give {_form(want)}."
    if isinstance(want, list) and isinstance(got, list) and len(got) != len(want):
        return f"Case {where} gives {len(got)} parts; there must be {len(want)}."
    if type(want) is not type(got):
        return f"Case {where} gives {_code(_short(got))}, which is another kind of thing than asked for."
    return f"Case {where} gives {_code(_short(got))}. That is not right."


def _where(exercise: Exercise, place: int) -> str:
    case = exercise.cases[place]
    return f"{place + 1} of {len(exercise.cases)}, " + (case.get("about") or _code(_short_text(case["call"])))


def _form(array: np.ndarray) -> str:
    return f"values of shape {array.shape}" if array.shape else "a single number"


def _short(value) -> str:
    return _short_text(np.array2string(value, precision=6, threshold=12) if isinstance(value, np.ndarray)
                       else repr(value))


def _short_text(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 120 else f"{text[:117]}..."


def _code(text: str) -> str:
    return f"`{text.replace('`', chr(39))}`"
