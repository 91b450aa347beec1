"""Each exercise is whole, its answer passes its own check, and the stub and wrong answers do not."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import vaerec

FILES = sorted((Path(vaerec.__file__).parent / "exercises").glob("*.yaml"))
EXERCISES = [pytest.param(exercise, id=f"{file.stem}: {exercise['name']}")
             for file in FILES for exercise in yaml.safe_load(file.read_text())]
JUDGED = [case for case in EXERCISES if case.values[0]["check"] != "text"]  # the reader judges those
KINDS = {"predict", "code", "pencil", "look", "decide"}


def value(expression, **names):
    return eval(str(expression), {"math": math, "np": np, "torch": torch} | names)


def passes(exercise: dict, answer) -> bool:
    """Is this answer right by the exercise's own check?"""
    if exercise["check"] == "choice":
        return answer == exercise["answer"]
    if exercise["check"] == "number":
        return abs(value(answer) - value(exercise["answer"])) <= exercise["tolerance"]
    names = {"np": np, "torch": torch, "math": math}
    exec(answer, names)
    try:
        pairs = [(value(case["call"], **names), value(case["expect"], **names), case.get("tolerance", 0))
                 for case in exercise["cases"]]
        return all(np.allclose(got, want, rtol=0, atol=tolerance) for got, want, tolerance in pairs)
    except Exception:  # a wrong answer may also crash
        return False


def test_chapters_have_five_exercises_and_more():
    assert FILES
    for file in FILES:
        exercises = yaml.safe_load(file.read_text())
        assert len(exercises) >= 5, file.stem
        assert len({exercise["name"] for exercise in exercises}) == len(exercises)
        assert len({exercise["kind"] for exercise in exercises}) >= 3, file.stem


@pytest.mark.parametrize("exercise", EXERCISES)
def test_an_exercise_is_whole(exercise):
    assert exercise["kind"] in KINDS
    assert exercise["check"] in {"choice", "number", "code", "text"}
    assert all(exercise[part].strip() for part in ("name", "prompt", "hint", "solution"))
    assert exercise["wrong"] and all(wrong["message"].strip() for wrong in exercise["wrong"])


@pytest.mark.parametrize("exercise", JUDGED)
def test_answers_are_judged_as_they_should(exercise):
    if exercise["check"] == "choice":
        assert {exercise["answer"], *(w["answer"] for w in exercise["wrong"])} <= set(exercise["options"])
    if exercise["check"] == "code":
        assert not passes(exercise, exercise["stub"])
    assert passes(exercise, exercise["answer"])
    for wrong in exercise["wrong"]:
        assert not passes(exercise, wrong["answer"]), wrong["message"]
