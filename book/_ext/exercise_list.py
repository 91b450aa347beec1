"""All exercises of the book on one page, written from the YAML files of the package."""

from __future__ import annotations

import run

from vaerec.exercises import bank
from vaerec.exercises.api import call
from vaerec.exercises.judge import lettered

MARK = "<!-- exercises -->"


def show_exercises(app, docname, source):
    """Replace the mark on the page of exercises by all of them, chapter after chapter."""
    if docname == "book/exercises":
        source[0] = source[0].replace(MARK, "\n\n".join(map(chapter, bank.files())))


def chapter(number: str) -> str:
    """Heading and exercises of a chapter; the heading links to its notebook, where there is one."""
    stem = bank.files()[number].stem
    title = stem
    if (run.NOTEBOOKS / f"{stem}.ipynb").exists():
        heading = run.read(stem).cells[0].source.lstrip("# ").partition("\n")[0]
        title = f"[{heading}](../notebooks/{stem}.ipynb)"
    return "\n\n".join([f"### {title}", *map(whole, bank.of_chapter(number).values())])


def whole(exercise: bank.Exercise) -> str:
    """Prompt, options or stub, the call that checks, and, folded, hint and solution."""
    parts = [f"(exercise-{exercise.name})=", f"#### {exercise.name}", f"*{exercise.kind}*",
             exercise.prompt.strip()]
    if exercise.options:
        parts.append(lettered(exercise))
    if exercise.stub:
        parts.append(f"```python\n{exercise.stub.strip()}\n```")
    parts += [f"```python\n{call(exercise)}\n```", folded("Hint", exercise.hint.strip())]
    model = [str(exercise.answer).strip()] if exercise.check == "text" else []
    mistakes = "\n".join(f"- {claim(exercise, wrong)}{one_line(wrong['message'])}"
                         for wrong in exercise.wrong)
    parts.append(folded("Solution and wrong answers", *model, exercise.solution.strip(), mistakes))
    return "\n\n".join(parts)


def claim(exercise: bank.Exercise, wrong: dict) -> str:
    """The wrong answer itself, where it is a sentence."""
    return f"*{one_line(wrong['answer'])}*: " if exercise.check in ("choice", "text") else ""


def one_line(text: str) -> str:
    """A text as one list item."""
    return " ".join(str(text).split())


def folded(summary: str, *parts: str) -> str:
    """A box that opens, as in the notebooks."""
    body = "\n\n".join(parts)
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"
