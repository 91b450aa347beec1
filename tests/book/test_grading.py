"""The examples for nbgrader and otter judge as those tools will, which are not installed here."""

import sys
import types
from pathlib import Path

import nbformat
import pytest

from vaerec.exercises import bank

GRADING = Path(__file__).parents[2] / "book" / "grading"
COINS = bank.find("00-kl-of-two-coins")


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("VAEREC_PROGRESS", str(tmp_path / "progress.json"))


def run_with(notebook: Path, source: str | None = None) -> dict:
    """Names after the cells have run; ``source`` in place of the cell that defines the function."""
    names = {}
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "code":
            exec(source if source and cell.source.startswith("def kl") else cell.source, names)
    return names


def test_the_notebook_for_nbgrader_passes_a_solution_and_no_mistake():
    notebook = GRADING / "nbgrader" / "source" / "exercises" / "coins.ipynb"
    run_with(notebook)
    with pytest.raises(AssertionError, match="counted heads alone"):
        run_with(notebook, COINS.wrong[1]["answer"])
    cells = {cell.id: cell.metadata["nbgrader"] for cell in nbformat.read(notebook, as_version=4).cells}
    assert cells["kl"]["solution"] and not cells["kl"]["grade"]
    assert cells["test-kl"]["grade"] and cells["test-kl"]["locked"] and cells["test-kl"]["points"] == 1


def test_the_test_for_otter_passes_a_solution_and_no_mistake(monkeypatch):
    test_files = types.ModuleType("otter.test_files")
    test_files.test_case = lambda **options: lambda function: function
    monkeypatch.setitem(sys.modules, "otter", types.ModuleType("otter"))
    monkeypatch.setitem(sys.modules, "otter.test_files", test_files)
    names = {}
    exec((GRADING / "otter" / "tests" / "kl.py").read_text(encoding="utf-8"), names)
    assert names["OK_FORMAT"] is False
    names["test_kl"](bank.function_of(COINS.answer, "kl"))
    with pytest.raises(AssertionError, match="Base two gives bits"):
        names["test_kl"](bank.function_of(COINS.wrong[2]["answer"], "kl"))
    # The student's notebook runs to its end before anything is filled in.
    assert not names["vr"].exercises.check(COINS.name, run_with(GRADING / "otter" / "coins.ipynb")["kl"])
