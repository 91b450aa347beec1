"""A chapter that is begun from the template fits into the book at once, and runs."""

import difflib
import shutil
import subprocess
import sys

import new_chapter
import pytest
import run
import yaml

from tests.notebooks import test_chapters as rules
from tests.notebooks.test_exercise_calls import calls_in
from tests.notebooks.test_first_cell import first_cell
from vaerec.exercises import bank

STEM, TITLE = "12-cold-start", 'Cold start: "what would a CNN do?"'
LISTS = ("_toc.yml", "notebooks/profiles.yaml", "book/teaching/notes.yaml")
# What needs no run with the profile full.
AT_ONCE = (
    rules.test_the_first_cell_installs_this_version_from_this_repository,
    rules.test_nothing_of_a_run_is_kept_but_its_outputs, rules.test_the_text_is_portable,
    rules.test_no_number_in_the_text_is_typed_by_hand, rules.test_images_have_a_description,
    rules.test_a_chapter_leads_to_the_glossary, rules.test_no_star_import_and_no_long_cell,
    rules.test_the_limits_of_a_chapter,
)
AT_ONCE_BY_NAME = (
    rules.test_the_parameters_are_those_of_the_full_profile,
    rules.test_the_quick_profile_sets_only_names_that_exist,
    rules.test_the_switch_in_the_notebook_sets_the_quick_profile,
    rules.test_a_chapter_on_movielens_names_its_terms,
)


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """What a new chapter needs of the repository, in a copy."""
    for folder in ("notebooks", "vaerec/exercises", "book/teaching"):
        shutil.copytree(run.ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("_toc.yml", "pyproject.toml"):
        shutil.copy(run.ROOT / name, tmp_path)
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "NOTEBOOKS", tmp_path / "notebooks")
    return tmp_path


@pytest.fixture
def exercises(copy, monkeypatch):
    """The exercises of the chapter that was just begun."""
    new_chapter.begin(STEM, TITLE, copy)
    listed = yaml.safe_load((copy / f"vaerec/exercises/{STEM}.yaml").read_text())
    return {made.name: made for made in (bank._exercise("12", fields) for fields in listed)}


def files(folder) -> dict:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("stem", [STEM, "A3-more"])
def test_it_stands_at_its_place_in_every_list_and_the_rest_stays(stem, copy):
    before = {name: (copy / name).read_text().splitlines() for name in LISTS}
    new_chapter.begin(stem, TITLE, copy)
    for name, lines in before.items():
        changes = [line[:2] for line in difflib.ndiff(lines, (copy / name).read_text().splitlines())]
        assert "+ " in changes and "- " not in changes
    contents, notes = (yaml.safe_load((copy / name).read_text()) for name in (LISTS[0], LISTS[2]))
    stems = new_chapter.chapters(copy)
    assert stem in stems
    assert [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]
            if chapter["file"].startswith("notebooks/")] == [f"notebooks/{name}" for name in stems]
    assert list(run.chapters()) == list(notes["chapters"]) == stems
    assert list(dict.fromkeys(unit["stem"] for unit in notes["units"])) == stems


def test_it_keeps_to_the_rules_of_every_chapter(copy):
    new_chapter.begin(STEM, TITLE, copy)
    notebook = run.read(STEM)
    assert notebook.cells[0].source.startswith(f"# 12 {TITLE}\n")
    for rule in AT_ONCE:
        rule(notebook)
    for rule in AT_ONCE_BY_NAME:
        rule(notebook, STEM)
    cells = {first_cell(stem).rpartition("\n")[0] for stem in ("06-mvae", STEM)}
    assert len(cells) == 1
    assert sum("nbval-check-output" in cell.metadata.tags for cell in notebook.cells) >= 2
    notebook.cells[0].source = notebook.cells[0].source.replace(TITLE, "")
    assert not any(word in str(notebook) for word in ("STEM", "NN", "NUMBER", "TITLE"))


def test_its_exercises_and_notes_agree_with_it(copy, exercises):
    assert len(exercises) >= 5 and len({exercise.kind for exercise in exercises.values()}) >= 3
    calls = calls_in(STEM)
    assert [name for function, name in calls if function == "check"] == list(exercises)
    assert {name for function, name in calls if function == "hint"} <= set(exercises)
    note = yaml.safe_load((copy / LISTS[2]).read_text())["chapters"][STEM]
    text = "\n".join(rules.markdown(run.read(STEM)))
    assert set(note["exercises"]) <= set(exercises)
    assert all(f"## {poll['reveal']}\n" in text for poll in note["polls"])


def test_its_exercises_check_themselves(exercises):
    from tests.unit.test_exercises import given
    from vaerec.exercises.judge import judge

    for exercise in exercises.values():
        right = None if exercise.check == "text" else True
        assert judge(exercise, given(exercise, exercise.answer)).right is right
        for wrong in exercise.wrong if right else ():
            result = judge(exercise, given(exercise, wrong["answer"]))
            assert not result.right and result.message == wrong["message"]


@pytest.mark.notebooks
def test_it_runs(copy):
    new_chapter.begin(STEM, TITLE, copy)
    values = run.recorded(run.nbformat.read(run.run_quick(STEM), as_version=4))
    assert values["c12_oracle_liang_ndcg@100"] > values["c12_popularity_liang_ndcg@100"]


@pytest.mark.parametrize("stem, title, told", [
    ("cold-start", TITLE, "such as 12-cold-start"), ("12", TITLE, "such as"), ("12-Cold", TITLE, "such as"),
    ("../12-cold", TITLE, "such as"), ("06-mvae", TITLE, "chapter 06 is there already"),
    ("06-other", TITLE, r"06-mvae\.ipynb"), (STEM, " ", "heading on one line"),
    (STEM, "two\nlines", "heading on one line")])
def test_a_wrong_name_or_title_changes_nothing(stem, title, told, copy):
    before = files(copy)
    with pytest.raises(ValueError, match=told):
        new_chapter.begin(stem, title, copy)
    assert files(copy) == before


@pytest.mark.process
def test_the_command_says_what_is_wrong_in_one_line():
    done = subprocess.run([sys.executable, run.NOTEBOOKS / "new_chapter.py", "06-mvae", "Again"],
                          capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "chapter 06 is there already" in done.stderr


def test_nothing_of_the_template_is_left_in_the_book():
    places = [*run.NOTEBOOKS.glob("*.ipynb"), *(run.ROOT / "vaerec/exercises").glob("*.yaml"),
              run.ROOT / "book/teaching/notes.yaml"]
    assert [path.name for path in places if new_chapter.MARK in path.read_text(encoding="utf-8")] == []
