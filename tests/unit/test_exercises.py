"""Each answer passes its check; the stub fails it, and each wrong answer with its own message."""

import math
import re

import numpy as np
import pytest
import torch
import yaml

import vaerec as vr
from vaerec.exercises import bank
from vaerec.exercises.judge import bare, judge

EXERCISES = [pytest.param(exercise, id=name) for name, exercise in bank.everything().items()]
KINDS = {"predict", "code", "pencil", "look", "decide"}
WORDS = {1: "one", 2: "two", 6: "six", 8: "eight", 12: "twelve", 14: "fourteen", 20: "twenty",
         25: "twenty-five", 30: "thirty"}


def of_kind(check: str):
    return [param for param in EXERCISES if param.values[0].check == check]


@pytest.fixture(autouse=True)
def progress_file(tmp_path, monkeypatch):
    """The developer's own progress stays as it is."""
    monkeypatch.setenv("VAEREC_PROGRESS", str(tmp_path / "progress.json"))
    return tmp_path / "progress.json"


def given(exercise, written):
    """An answer of the YAML file as a reader gives it: a function, a number, a text."""
    if exercise.check == "code":
        return bank.function_of(written, exercise.function)
    return bank.evaluate(written) if exercise.check == "number" else written


# The exercises themselves.

@pytest.mark.parametrize("chapter", bank.files())
def test_a_chapter_has_five_exercises_of_several_kinds(chapter):
    exercises = bank.of_chapter(chapter)
    listed = yaml.safe_load(bank.files()[chapter].read_text(encoding="utf-8"))
    assert len(exercises) == len(listed) >= 5
    assert len({exercise.kind for exercise in exercises.values()}) >= 3


@pytest.mark.parametrize("exercise", EXERCISES)
def test_an_exercise_is_whole(exercise):
    assert exercise.kind in KINDS
    assert exercise.check in {"choice", "number", "code", "text"}
    assert re.fullmatch(r"[0-9A-Z]{2}(-[a-z0-9]+)+", exercise.name)
    assert all(part.strip() for part in (exercise.prompt, exercise.hint, exercise.solution))
    assert exercise.wrong and all(wrong["message"].strip() for wrong in exercise.wrong)
    if exercise.check == "choice":
        assert {exercise.answer, *(wrong["answer"] for wrong in exercise.wrong)} <= set(exercise.options)
        # An answer by text, by letter or by place must never mean two things.
        assert len({bare(text) for text in exercise.options}) == len(exercise.options)
        assert not any(len(bare(text)) == 1 for text in exercise.options)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_answer_passes_its_check(exercise):
    result = vr.exercises.check(exercise.name, given(exercise, exercise.answer))
    assert result.right is (None if exercise.check == "text" else True)
    assert bool(result) == (exercise.check != "text")


@pytest.mark.parametrize("exercise", of_kind("code"))
def test_the_stub_fails(exercise):
    result = vr.exercises.check(exercise.name, given(exercise, exercise.stub))
    assert not result
    assert "stub" in result.message or "None" in result.message


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # some wrong answers overflow, as they should
@pytest.mark.parametrize("exercise, wrong", [
    pytest.param(param.values[0], wrong, id=f"{param.id} {place}")
    for param in EXERCISES if param.values[0].check != "text"
    for place, wrong in enumerate(param.values[0].wrong)])
def test_a_wrong_answer_fails_with_its_own_message(exercise, wrong):
    result = vr.exercises.check(exercise.name, given(exercise, wrong["answer"]))
    assert result.right is False
    assert result.message == wrong["message"]


def numbers_in(text: str) -> list[float]:
    """Numbers that stand in a text by themselves: no exponent, no part of a name."""
    return [float(found) for found in re.findall(r"(?<![\w^.{])\d+(?:\.\d+)?", text)]


@pytest.mark.parametrize("exercise", of_kind("number"))
def test_no_message_holds_the_right_number(exercise):
    right = bank.evaluate(exercise.answer)
    answers = [bank.evaluate(wrong["answer"]) for wrong in exercise.wrong] + [right + 17, right - 17, 10**9]
    for answer in answers:
        message = judge(exercise, answer).message
        assert right not in numbers_in(message)
        assert not any(abs(number - right) <= exercise.tolerance for number in numbers_in(message)), message
        assert not re.search(rf"\b{WORDS.get(right, 'nothing')}\b(?!-)", message), message


def test_the_right_number_would_be_seen():
    assert numbers_in(r"it is 0.818, $2^{4}$, $x_3$, log2 or 14.") == [0.818, 2.0, 14.0]


def test_the_right_option_is_not_always_at_the_same_place():
    places = [param.values[0].options.index(param.values[0].answer) for param in of_kind("choice")]
    assert max(map(places.count, set(places))) < 0.6 * len(places)


# What a reader's answer may look like.

def test_an_option_is_named_by_letter_place_or_text():
    for answer in ("d", "D", "(d)", 4, "one vector of fixed length", "One vector of fixed length."):
        assert vr.exercises.check("00-gru", answer)
    assert vr.exercises.check("00-shapes", (1000, 2))
    with pytest.raises(ValueError, match=r"no option 'z'; give a letter from a to d"):
        vr.exercises.check("00-gru", "z")


@pytest.mark.parametrize("answer", [2 / 8, np.float32(0.25), torch.tensor(0.25), np.array(0.25)])
def test_a_number_may_be_of_any_library(answer):
    assert vr.exercises.check("00-softmax", answer)


@pytest.mark.parametrize("answer", ["0.25", None, True, float("nan"), [1, 2], np.ones(3), len])
def test_what_is_no_number_is_refused_and_not_counted(answer, progress_file):
    with pytest.raises(ValueError, match="00-softmax asks for"):
        vr.exercises.check("00-softmax", answer)
    assert not progress_file.exists()


def test_an_unknown_name_lists_names_that_look_alike():
    with pytest.raises(ValueError, match="did you mean '04-kl'"):
        vr.exercises.check("04-lk", 1)
    for call in (vr.exercises.hint, vr.exercises.solution, vr.exercises.show):
        with pytest.raises(ValueError, match=r"show\(\) lists all names"):
            call("99-nothing")
    with pytest.raises(ValueError, match="no exercises for chapter 'XY'"):
        vr.exercises.show("XY")


def test_a_text_is_kept_and_set_beside_usual_claims():
    result = vr.exercises.check("06-to-a-product-owner", "EASE for small catalogues.")
    assert result.right is None
    assert "newer and deeper" in result.message
    (state,) = vr.exercises.progress().xs("06-to-a-product-owner", level="exercise")["state"]
    assert state == "written"
    with pytest.raises(ValueError, match="asks for a text"):
        vr.exercises.check("06-to-a-product-owner", " ")


# What a reader's function may do.

def message_of(function, name="00-kl-of-two-coins", **options):
    result = vr.exercises.check(name, function, **options)
    assert result.right is False
    return result.message


def test_an_error_is_named_with_its_line_and_case():
    def kl(q, p):
        return math.log(q) / 0

    message = message_of(kl)
    assert message.startswith("Case 1 of 3, `kl(1 / 2, 3 / 4)` raises `")
    assert "in the line `return math.log(q) / 0`." in message


@pytest.mark.parametrize("function, said", [
    (lambda q, p: None, "returns nothing"),
    (lambda q, p: None if q == 1 / 3 else 0.1438410362258904, "returns nothing|is not right"),
    (lambda q: 1, "takes 1 positional argument"),
    (lambda q, p: np.array([q]), r"gives values of shape \(1,\); it must give a single number"),
    (lambda q, p: "0.14", "another kind of thing"),
    (lambda q, p: exit(), "raises `SystemExit"),
    (lambda q, p: q, "gives `0.5`. That is not right"),
])
def test_other_trouble_is_named(function, said):
    assert re.search(said, message_of(function))


def test_results_of_another_form_are_named():
    assert "returns something of another form" in message_of(lambda items, generator: 3, "01-random-fold-in")
    one_value = message_of(lambda hits, n, k: 1.0, "02-recall-two-ways")
    assert "gives a single number; it must give values of shape (2,)" in one_value


@pytest.mark.parametrize("seconds", [0.3])
def test_an_endless_loop_is_ended(seconds):
    def kl(q, p):
        while True:
            try:
                q / 0
            except Exception:  # as readers write it; it must not catch the end of the time
                continue

    assert "did not end within 0.3 seconds" in message_of(kl, seconds=seconds)


def test_a_stop_by_the_reader_stops():
    def kl(q, p):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vr.exercises.check("00-kl-of-two-coins", kl)


def test_a_check_works_in_a_thread_too():
    from concurrent.futures import ThreadPoolExecutor

    exercise = bank.find("05-free-bits")
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(vr.exercises.check, exercise.name, given(exercise, exercise.answer))
    assert done.result()


def test_a_function_that_changes_its_input_is_told_so():
    def charge(kl, floor):
        kl *= 2
        return np.maximum(kl.mean(axis=0) / 2, floor).sum()

    assert message_of(charge, "05-free-bits").startswith("The values are right. Your function changes")


def test_cases_do_not_see_what_an_earlier_one_changed():
    def charge(kl, floor):
        total = np.maximum(kl.mean(axis=0), floor).sum()
        kl[:] = 0
        return total

    for _ in range(2):
        assert "The values are right" in message_of(charge, "05-free-bits")


def test_a_function_on_tensors_with_gradients_is_fine():
    assert vr.exercises.check("06-multinomial-loss", lambda logits, x: torch.nn.functional.cross_entropy(
        torch.nn.Parameter(logits), x, reduction="sum") / len(x))


def test_the_result_of_a_function_is_refused():
    with pytest.raises(ValueError, match="pass the function itself, without quotes or parentheses"):
        vr.exercises.check("00-kl-of-two-coins", 0.14)
    with pytest.raises(ValueError, match="pass the function itself"):  # a source is never run
        vr.exercises.check("00-kl-of-two-coins", "def kl(q, p): ...")


# What is shown.

def test_exercises_are_shown():
    assert "04-kl" in repr(vr.exercises.show())
    assert "00-kl-of-two-coins" in repr(vr.exercises.show("00"))
    shown = vr.exercises.show("00-gru")._repr_markdown_()
    assert "- **d** one vector of fixed length" in shown
    assert 'vr.exercises.check("00-gru", ...)' in shown
    assert "def kl(q, p):" in repr(vr.exercises.show("00-kl-of-two-coins"))
    assert vr.exercises.check("00-gru", ...) == vr.exercises.check("00-gru") == vr.exercises.show("00-gru")
    assert vr.exercises.predict("00-gru", ...) == vr.exercises.show("00-gru")
    assert repr(vr.exercises.show("4")) == repr(vr.exercises.show("04"))
    for param in EXERCISES:
        assert param.values[0].solution.strip() not in repr(vr.exercises.show(param.id))


def test_a_result_reads_well_in_notebook_and_terminal():
    result = vr.exercises.check("04-kl", 0.5 * (1 + 0.5 - 1 - np.log(0.5)))
    assert result._repr_markdown_().startswith(r"**04-kl: Not yet.** You took $\sigma$ for $\sigma^2$")
    assert repr(result).startswith("04-kl: Not yet. You took")


def test_a_guess_is_shown_beside_the_result():
    with pytest.raises(ValueError, match="no guess for 00-backward yet"):
        vr.exercises.reveal("00-backward", 12)
    vr.exercises.predict("00-backward", 9)
    vr.exercises.predict("00-backward", 6)  # changed before the run
    result = vr.exercises.reveal("00-backward", 12)
    assert "| 6 | 12 |" in result.message
    assert "The second call adds to it" in result.message
    assert not result
    with pytest.raises(ValueError, match="revealed already"):
        vr.exercises.predict("00-backward", 12)
    row = vr.exercises.progress().loc[("00", "00-backward")]
    assert row["state"] == "revealed"
    assert row["guess"] == "6.0"


def test_a_right_guess_solves():
    vr.exercises.predict("04-narrow-or-wide", "b")
    assert vr.exercises.reveal("04-narrow-or-wide", {"narrow": 0.6, "wide": 2.8})
    assert vr.exercises.progress().loc[("04", "04-narrow-or-wide"), "state"] == "solved"
    with pytest.raises(ValueError, match="asks for code"):
        vr.exercises.predict("05-free-bits", 1)
