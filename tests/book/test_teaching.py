"""The page for lecturers agrees with the notebooks, and shows what they recorded."""

import re
import sys
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
import run
from bs4 import BeautifulSoup

sys.path.insert(0, str(Path(__file__).parents[2] / "book" / "_ext"))
import teaching

from vaerec.exercises import bank

NOTES = teaching.read_notes()
HERE = teaching.here(NOTES)


def test_each_notebook_has_its_entry():
    assert set(HERE) == {path.stem for path in run.NOTEBOOKS.glob("*.ipynb")}
    in_units = {unit["stem"] for unit in NOTES["units"]}
    assert in_units == set(NOTES["chapters"])


@pytest.mark.parametrize("stem", HERE)
def test_an_entry_agrees_with_its_chapter(stem):
    note, text = NOTES["chapters"][stem], teaching.text_of(stem)
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    places = [headings.index(poll["reveal"]) for poll in note["polls"]]
    assert places == sorted(places)  # in the order in which they can be run
    assert len(note["exercises"]) == 2
    assert all(bank.find(name).name == name and name.startswith(stem[:2]) for name in note["exercises"])
    able, needs = teaching.opening(stem)
    assert len(able) > 40 and len(needs) > 10
    assert len(teaching.misconceptions(stem)) == text.count("> **Misconception:") >= 1


@pytest.mark.parametrize("stem", NOTES["chapters"])
def test_a_poll_can_be_run(stem):
    note = NOTES["chapters"][stem]
    assert len(note["polls"]) >= 3 and note["watch"]
    for poll in note["polls"]:
        assert len(set(poll["options"])) == len(poll["options"]) >= 2
        assert poll["answer"] in teaching.LETTERS[:len(poll["options"])]


def test_answers_do_not_all_have_one_letter():
    answers = [poll["answer"] for note in NOTES["chapters"].values() for poll in note["polls"]]
    assert max(map(answers.count, "abc")) < 0.6 * len(answers)


def test_a_unit_has_ninety_minutes_and_the_short_course_its_chapters():
    assert sum(part["minutes"] for part in NOTES["unit"]) == 90
    core = [unit["stem"][:2] for unit in NOTES["units"] if unit.get("core")]
    assert core == ["00", "04", "05", "06", "07", "07"]


def test_the_day_has_a_beginning_and_an_end():
    rows = teaching.day(NOTES).splitlines()[2:]
    clock = [datetime.strptime(row.split(" | ")[0].strip("| "), "%H:%M") for row in rows]
    assert clock == sorted(clock) and f"{clock[0]:%H:%M}" == "09:00"
    spent = sum(block["minutes"] for block in NOTES["day"]["blocks"])
    assert (clock[-1] - clock[0]).total_seconds() / 60 == spent <= 8 * 60


def test_minutes_are_what_the_notebooks_recorded(site):
    page = BeautifulSoup((site / "book" / "instructors.html").read_text(encoding="utf-8"), "html.parser")
    shown = page.find("article").get_text(" ", strip=True)
    for stem in HERE:
        seconds = run.recorded(run.read(stem))["seconds"]
        (quick,) = re.findall(r"quick_minutes=([\d.]+)", run.code_cells(run.read(stem))[0].source)
        assert f"Its notebook took {seconds / 60:.1f} minutes. With quick it takes at most {quick}." in shown
        section = page.find("a", href=f"../notebooks/{stem}.html")
        assert section is not None
    assert "<!--" not in str(page.find("article"))
    for poll in (poll for note in HERE.values() for poll in note["polls"]):
        assert poll["reveal"].replace("'", "’") in shown.replace("'", "’")


def test_a_slow_notebook_is_run_before_class(monkeypatch):
    monkeypatch.setattr(teaching, "minutes", lambda stem: 40.0 if stem == "06-mvae" else 1.0)
    rows = teaching.units(NOTES, core=True).splitlines()[2:]
    told = {stem: row for row in rows for stem in HERE if f"{stem}.ipynb" in row}
    assert "before class" in told["06-mvae"] and "40.0" in told["06-mvae"]
    assert "before class" not in told["04-the-elbo"]


def test_the_page_says_how_often_ease_was_beaten(site):
    page = BeautifulSoup((site / "book" / "instructors.html").read_text(encoding="utf-8"), "html.parser")
    (table,) = (table for table in page.find_all("table") if "beats EASE in" in table.get_text())
    shown = {cells[0]: cells[1:] for row in table.find_all("tr")[1:]
             if (cells := [cell.get_text(strip=True) for cell in row.find_all("td")])}
    runs = pd.read_csv(run.ROOT / "benchmarks" / "beat_ease.csv")
    for model, own in runs.groupby("model"):
        assert float(shown[model][0]) == pytest.approx(own["ndcg@100"].mean(), abs=6e-4)
    assert shown["SVAE"][2] == "3 of 3" and shown["popularity"][2] == "0 of 3"
