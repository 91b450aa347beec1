"""What a reader calls: show, check, hint, solution, and predict before reveal."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from vaerec.exercises import bank
from vaerec.exercises.answers import keep, kept_entries, now
from vaerec.exercises.bank import Exercise
from vaerec.exercises.judge import SECONDS, judge, lettered

PathLike = str | os.PathLike | None
INPUT = {"number": "a number", "choice": "a letter or the text of an option", "text": "your text"}


@dataclass(frozen=True)
class Text:
    """Markdown that a notebook typesets and a terminal prints as it is."""

    markdown: str

    def __repr__(self) -> str:
        return self.markdown

    def _repr_markdown_(self) -> str:
        return self.markdown


@dataclass(frozen=True)
class Result:
    """What `check` or `reveal` says about an answer.

    ``right`` is True, False, or None where only the reader can judge. ``assert result`` holds
    for a right answer alone, which is what autograders need.
    """

    name: str
    right: bool | None
    message: str

    def __bool__(self) -> bool:
        return self.right is True

    def __repr__(self) -> str:
        return re.sub(r"\*\*(.+?)\*\*", r"\1", self._repr_markdown_())

    def _repr_markdown_(self) -> str:
        word = {True: "Right", False: "Not yet", None: "Kept"}[self.right]
        return f"**{self.name}: {word}.** {self.message}".strip()


def show(name: str | None = None) -> Text:
    """Show an exercise ("04-kl"), the exercises of a chapter ("04"), or all names.

    Raises
    ------
    ValueError
        There is no such exercise or chapter.
    """
    if name is None:
        return Text("\n".join(f"- **{chapter}** {', '.join(bank.of_chapter(chapter))}"
                              for chapter in bank.files()))
    if "-" in str(name):
        return Text(_whole(bank.find(name)))
    return Text("\n\n---\n\n".join(map(_whole, bank.of_chapter(str(name).zfill(2)).values())))


def check(name: str, answer=..., *, progress_file: PathLike = None,
          seconds: float = SECONDS) -> Result | Text:
    """Judge an answer and keep that it was tried. Without an answer, show the exercise.

    Parameters
    ----------
    name : str
        Such as ``"04-kl"``.
    answer : function, number or str
        What the exercise asks for: your function itself (not its result); a number; the letter or the
        text of an option; or a text of your own, which is kept and which you compare with the solution.
    progress_file : path, optional
        See `progress`.
    seconds : float
        Time for each case of a code exercise. The limit holds on the main thread of Linux and macOS,
        so in Colab and Kaggle too. On Windows, interrupt the kernel instead.

    Returns
    -------
    Result or Text
        True if the answer is right. Otherwise its message names the mistake, if it is a typical one.

    Raises
    ------
    ValueError
        There is no such exercise, or the answer is not of the kind that it asks for.
    """
    exercise = bank.find(name)
    if answer is ...:
        return show(name)
    verdict = judge(exercise, answer, seconds)

    def update(entry):
        entry["tries"] = entry.get("tries", 0) + 1
        if verdict.answer is not None:
            entry["answer"] = verdict.answer
        if verdict.right:
            entry.setdefault("solved", now())
        elif verdict.right is None:
            entry["written"] = now()

    keep(exercise, progress_file, update)
    return Result(name, verdict.right, verdict.message or _next_step(exercise, verdict.right))


def hint(name: str, *, progress_file: PathLike = None) -> Text:
    """Show the hint, and keep that it was seen.

    Raises
    ------
    ValueError
        There is no such exercise.
    """
    exercise = bank.find(name)
    keep(exercise, progress_file, lambda entry: entry.setdefault("hint", now()))
    return Text(exercise.hint.strip())


def solution(name: str, *, progress_file: PathLike = None) -> Text:
    """Show the solution, and keep that it was seen.

    Raises
    ------
    ValueError
        There is no such exercise.
    """
    exercise = bank.find(name)
    keep(exercise, progress_file, lambda entry: entry.setdefault("solution", now()))
    model_answer = f"{str(exercise.answer).strip()}\n\n" if exercise.check == "text" else ""
    return Text(model_answer + exercise.solution.strip())


def predict(name: str, guess=..., *, progress_file: PathLike = None) -> Text:
    """Write a guess down before you run the code; `reveal` shows it again.

    Until then a new guess replaces the old one. Without a guess, the exercise is shown.

    Raises
    ------
    ValueError
        There is no such exercise, it asks for code, the guess is not of the kind that it asks for, or
        the result was already revealed.
    """
    exercise = bank.find(name)
    if exercise.check == "code":
        raise ValueError(f"{name} asks for code, so there is nothing to guess; use vr.exercises.check")
    if guess is ...:
        return show(name)
    verdict = judge(exercise, guess)

    def update(entry):
        if "revealed" not in entry:
            entry |= {"guess": verdict.answer, "guessed": now()}

    if "revealed" in keep(exercise, progress_file, update):
        raise ValueError(f"{name} was revealed already, so the guess before it stays")
    return Text(f"**{name}:** your guess {_shown(verdict.answer)} is written down. Now run it, then call "
                f'`vr.exercises.reveal("{name}", ...)` with what came out.')


def reveal(name: str, result, *, progress_file: PathLike = None) -> Result:
    """Show your guess beside what came out when you ran it.

    Parameters
    ----------
    name : str
    result
        What your own run gave; it is shown beside the guess.
    progress_file : path, optional
        See `progress`.

    Returns
    -------
    Result
        ``right`` says whether the guess was right.

    Raises
    ------
    ValueError
        There is no such exercise, or no guess yet.
    """
    exercise = bank.find(name)
    guess = kept_entries(progress_file).get(name, {}).get("guess")
    if guess is None:
        raise ValueError(f'no guess for {name} yet; first call vr.exercises.predict("{name}", ...)')
    verdict = judge(exercise, guess)

    def update(entry):
        entry.setdefault("revealed", now())
        if verdict.right:
            entry.setdefault("solved", now())

    keep(exercise, progress_file, update)
    table = f"\n\n| your guess | what came out |\n|---|---|\n| {_shown(guess)} | {_shown(result)} |\n\n"
    return Result(name, verdict.right, table + (verdict.message or _next_step(exercise, verdict.right)))


def _whole(exercise: Exercise) -> str:
    """Prompt, options or stub, and the call that checks."""
    parts = [f"**{exercise.name}** ({exercise.kind})", exercise.prompt.strip()]
    if exercise.options:
        parts.append(lettered(exercise))
    if exercise.stub:
        parts.append(f"```python\n{exercise.stub.strip()}\n```")
    parts.append(f"```python\n{call(exercise)}\n```")
    return "\n\n".join(parts)


def call(exercise: Exercise) -> str:
    """The line that checks this exercise."""
    if exercise.check == "code":
        return f'vr.exercises.check("{exercise.name}", {exercise.function})'
    return f'vr.exercises.check("{exercise.name}", ...)  # {INPUT[exercise.check]}'


def _next_step(exercise: Exercise, right: bool | None) -> str:
    if right:
        return f'Compare your way with `vr.exercises.solution("{exercise.name}")`.'
    return f'This is none of the typical mistakes. Try `vr.exercises.hint("{exercise.name}")`.'


def _shown(value) -> str:
    text = value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
