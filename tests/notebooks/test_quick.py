"""Each chapter runs from top to bottom on the embedded data, and repeats itself."""

import json
import subprocess
import sys

import pytest
import repeat
import run

from tests.notebooks.test_ranges import check

SMALLEST = "00-tour"


# One test, so that two workers never run one chapter.
@pytest.mark.notebooks
@pytest.mark.parametrize("stem", [
    pytest.param(stem, marks=[pytest.mark.smoke] if stem == SMALLEST else []) for stem in run.chapters()])
def test_the_quick_profile_is_in_range_and_repeats_itself(stem):
    # A process of its own, as `make notebooks` starts it.
    command = [sys.executable, "notebooks/run.py", "--profile", "quick", "--only", stem]
    done = subprocess.run(command, cwd=run.ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    path = run.ROOT / "_build" / "quick" / f"{stem}.ipynb"
    notebook = run.nbformat.read(path, as_version=4)
    assert notebook.metadata["vaerec"]["profile"] == "quick"
    check(run.recorded(notebook), stem, "quick")
    if not repeat.is_known(stem):  # else it was seen before, with the same chapter and package
        again = repeat.again(path)
        assert again.returncode == 0, again.stdout[-4000:]


@pytest.mark.parametrize("stem", run.chapters())
def test_a_chapter_marks_cells_that_must_give_the_same_output(stem):
    marked = [cell for cell in run.code_cells(run.read(stem))
              if "nbval-check-output" in cell.metadata.get("tags", [])]
    assert len(marked) >= 2


# The list of what was seen before is only worth something if a change makes it stale.

@pytest.fixture
def listed(tmp_path, monkeypatch):
    """A copy of the notebooks and the package's hash as they are, and a list that knows the tour."""
    monkeypatch.delenv("VAEREC_REPEAT", raising=False)
    monkeypatch.setattr(repeat, "SEEN", tmp_path / "repeated.json")
    repeat.SEEN.write_text(json.dumps({SMALLEST: repeat.what_decides(SMALLEST)}))


def test_what_was_seen_before_is_not_run_again_unless_all_are(listed, monkeypatch):
    assert repeat.is_known(SMALLEST) and not repeat.is_known("06-mvae")
    monkeypatch.setenv("VAEREC_REPEAT", "1")
    assert not repeat.is_known(SMALLEST)


def changed_code(stem):
    notebook = READ(stem)
    run.code_cells(notebook)[-1].source += "\n1"
    return notebook


READ = run.read


@pytest.mark.parametrize("name, change", [
    ("read", changed_code), ("package_hash", lambda: "another"),
    ("chapters", lambda: {SMALLEST: {"quick": {"n_users": 7}}})])
def test_a_change_of_what_decides_the_numbers_asks_for_a_second_run(name, change, listed, monkeypatch):
    monkeypatch.setattr(run, name, change)
    assert not repeat.is_known(SMALLEST)
