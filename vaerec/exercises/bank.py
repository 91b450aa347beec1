"""The exercises as they stand in the YAML files of this folder."""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Exercise:
    """One exercise; the fields are those of the YAML file (see `vaerec.exercises`)."""

    name: str  # "04-kl": the chapter's number and the exercise's own name
    kind: str
    check: str
    prompt: str
    hint: str
    solution: str
    answer: str | float
    wrong: tuple[dict, ...]
    version: str  # changes whenever anything about the exercise changes
    options: tuple[str, ...] = ()
    tolerance: float = 0.0
    function: str = ""
    stub: str = ""
    cases: tuple[dict, ...] = ()

    @property
    def chapter(self) -> str:
        """Number of the chapter, such as "04" or "A1"."""
        return self.name.partition("-")[0]


@functools.cache
def files() -> dict[str, Path]:
    """File of each chapter, by the chapter's number, in the order of the book."""
    return {path.stem.partition("-")[0]: path for path in sorted(FOLDER.glob("*.yaml"))}


@functools.cache
def of_chapter(chapter: str) -> dict[str, Exercise]:
    """Exercises of one chapter by name, in the order of the file.

    Raises
    ------
    ValueError
        There are no exercises for such a chapter.
    """
    if chapter not in files():
        raise ValueError(f"no exercises for chapter {chapter!r}; there are chapters {', '.join(files())}")
    exercises = [_exercise(chapter, fields)
                 for fields in yaml.safe_load(files()[chapter].read_text(encoding="utf-8"))]
    return {exercise.name: exercise for exercise in exercises}


def everything() -> dict[str, Exercise]:
    """Every exercise of the book by name."""
    return {name: exercise for chapter in files() for name, exercise in of_chapter(chapter).items()}


def find(name: str) -> Exercise:
    """The exercise of this name.

    Raises
    ------
    ValueError
        There is none; the message lists names that look alike.
    """
    if not isinstance(name, str):
        raise ValueError(f'the name of an exercise is a text such as "04-kl", not {name!r}')
    chapter = name.partition("-")[0]
    if chapter in files() and name in of_chapter(chapter):
        return of_chapter(chapter)[name]
    close = difflib.get_close_matches(name, everything(), n=3, cutoff=0.5)
    if not close and chapter in files():
        close = list(of_chapter(chapter))
    instead = f"did you mean {' or '.join(map(repr, close))}?" if close else "no name looks like it."
    raise ValueError(f"no exercise {name!r}; {instead} vr.exercises.show() lists all names")


def evaluate(expression: str | float, **names):
    """Value of an expression from the package's own YAML files (never of anything from outside)."""
    return eval(str(expression), {"math": math, "np": np, "torch": torch} | names)


def function_of(source: str, name: str):
    """The function that a source from the package's own YAML files defines."""
    names = {"math": math, "np": np, "torch": torch}
    exec(source, names)
    return names[name]


def _exercise(chapter: str, fields: dict) -> Exercise:
    text = json.dumps(fields, sort_keys=True, ensure_ascii=False, default=str)
    lists = {key: tuple(fields[key]) for key in ("wrong", "options", "cases") if key in fields}
    version = hashlib.sha256(text.encode()).hexdigest()[:12]
    return Exercise(**fields | lists | {"name": f"{chapter}-{fields['name']}", "version": version})
