"""The page for lecturers, written from notes.yaml, from the notebooks and from what they recorded."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pandas as pd
import run
import yaml

from vaerec.exercises.judge import LETTERS

NOTES = run.ROOT / "book" / "teaching" / "notes.yaml"
FEASIBLE = run.ROOT / "benchmarks" / "beat_ease.csv"


def show_teaching(app, docname, source):
    """Replace the marks on the page for lecturers."""
    if docname == "book/instructors":
        notes = read_notes()
        parts = {
            "unit": unit(notes), "core": units(notes, core=True), "others": units(notes, core=False),
            "day": day(notes), "worlds": worlds(), "feasible": feasible(),
            "chapters": "\n\n".join(chapter(stem, note) for stem, note in here(notes).items()),
        }
        for mark, text in parts.items():
            source[0] = source[0].replace(f"<!-- {mark} -->", text)


def read_notes() -> dict:
    """The notes, of all chapters that are written or planned."""
    return yaml.safe_load(NOTES.read_text(encoding="utf-8"))


def here(notes: dict) -> dict[str, dict]:
    """Notes of the chapters whose notebook is there."""
    return {stem: note for stem, note in notes["chapters"].items() if is_here(stem)}


def is_here(stem: str) -> bool:
    """Is there such a notebook?"""
    return (run.NOTEBOOKS / f"{stem}.ipynb").exists()


def text_of(stem: str) -> str:
    """The Markdown of a notebook."""
    return "\n\n".join(cell.source for cell in run.read(stem).cells if cell.cell_type == "markdown")


def title(stem: str) -> str:
    """The notebook's heading."""
    return text_of(stem).lstrip("# ").partition("\n")[0]


def opening(stem: str) -> tuple[str, str]:
    """What one can do after a chapter, and what one needs for it."""
    found = re.search(r"\*\*After this chapter you can\*\*(.*?)\*\*You need\*\*(.*?)(?:\*\*Time|\n\n|\Z)",
                      text_of(stem), re.DOTALL)
    if not found:
        raise ValueError(f"{stem} does not say 'After this chapter you can' and 'You need'")
    able, needs = map(one_line, found.groups())
    return able, needs


def misconceptions(stem: str) -> list[str]:
    """The claims of a chapter's boxes."""
    return [one_line(claim.replace("\n>", "\n")).strip('"')
            for claim in re.findall(r"> \*\*Misconception: (.*?)\*\*", text_of(stem), re.DOTALL)]


def one_line(text: str) -> str:
    """A text without line breaks."""
    return " ".join(text.split())


def minutes(stem: str) -> float:
    """What the notebook took when it was run with its profile full."""
    return run.recorded(run.read(stem))["seconds"] / 60


def quick_minutes(stem: str) -> str:
    """What a notebook's first cell tells its reader about the profile quick."""
    first = next(cell for cell in run.read(stem).cells if cell.cell_type == "code")
    (stated,) = re.findall(r"quick_minutes=([\d.]+)", first.source)
    return stated


def both_minutes(stem: str) -> str:
    """A table's cell: quick, full."""
    return f"≤ {quick_minutes(stem)}, {minutes(stem):.1f}"


def link(stem: str) -> str:
    """A link to a notebook."""
    return f"[{title(stem)}](../notebooks/{stem}.ipynb)"


def unit(notes: dict) -> str:
    """How the minutes of one unit are divided."""
    rows = [f"| {part['part']} | {part['minutes']} |" for part in notes["unit"]]
    return "\n".join(["| part of a unit | minutes |", "|---|---|", *rows])


def units(notes: dict, core: bool) -> str:
    """The units of the short course, or the others, with the measured minutes."""
    slot = next(part["minutes"] for part in notes["unit"] if part["part"] == notes["run_part"])
    rows = ["| unit | minutes: quick, full |", "|---|---|"]
    for row in notes["units"]:
        stem = row["stem"]
        if row.get("core", False) == core and is_here(stem):
            early = "" if minutes(stem) <= slot / 2 else ": run it before class, or `quick` in class"
            rows.append(f"| {link(stem)}: {row['about']} | {both_minutes(stem)}{early} |")
    return "\n".join(rows)


def day(notes: dict) -> str:
    """The one-day plan with its clock times."""
    clock = datetime.strptime(notes["day"]["begin"], "%H:%M")
    rows = ["| from | what | minutes: quick, full |", "|---|---|---|"]
    for block in notes["day"]["blocks"]:
        what, took = block["what"], "-"
        if stem := block.get("stem"):
            what, took = f"{what}: {link(stem)}", both_minutes(stem)
        rows.append(f"| {clock:%H:%M} | {what} | {took} |")
        clock += timedelta(minutes=block["minutes"])
    return "\n".join([*rows, f"| {clock:%H:%M} | end | - |"])


def chapter(stem: str, note: dict) -> str:
    """Everything about one chapter."""
    able, needs = opening(stem)
    exercises = ", ".join(f"[{name}](exercise-{name})" for name in note["exercises"])
    boxes = "\n".join(f"- {claim}" for claim in misconceptions(stem))
    return "\n\n".join([
        f"### {title(stem)}",
        f"[Open the chapter](../notebooks/{stem}.ipynb). Its notebook took {minutes(stem):.1f} minutes."
        f" With `quick` it takes at most {quick_minutes(stem)}.",
        f"**Students can then** {able}", f"**They need** {needs}",
        f"**Misconceptions to expect**, each with a box in the chapter:\n\n{boxes}",
        f"**In class.** {note['watch']}",
        f"**Exercises for the lesson:** {exercises}.",
        *map(poll, note["polls"]),
    ])


def poll(question: dict) -> str:
    """A question with its options; the answer is folded, so that the page can be projected."""
    options = "\n".join(f"- **{letter}** {option}"
                        for letter, option in zip(LETTERS, question["options"], strict=False))
    place = LETTERS.index(question["answer"])
    answer = f"**{question['answer']}**: {question['options'][place]}."
    return (f"**Poll.** {question['ask']}\n\n{options}\n\n<details><summary>Answer</summary>\n\n{answer} "
            f"Shown in the section \"{question['reveal']}\".\n\n</details>")


def worlds() -> str:
    """Where the table of `feasible` comes from."""
    runs = pd.read_csv(FEASIBLE)
    return (f"We trained the book's own models, with no search, in {runs['seed'].nunique()} worlds of other "
            "seeds. The last column counts those in which the 95 % interval lies above zero.")


def feasible() -> str:
    """What models of the book reach in worlds of the capstone."""
    runs = pd.read_csv(FEASIBLE)
    rows = ["| model | NDCG@100, mean | minus EASE, mean | beats EASE in |", "|---|---|---|---|"]
    by_quality = runs.groupby("model")["ndcg@100"].mean().sort_values()
    for model in by_quality.index:
        own = runs[runs["model"] == model]
        wins = f"{own['difference'].mean():+.3f} | {(own['low'] > 0).sum()} of {len(own)}"
        rows.append(f"| {model} | {own['ndcg@100'].mean():.3f} | {'- | -' if model == 'EASE' else wins} |")
    return "\n".join(rows)
