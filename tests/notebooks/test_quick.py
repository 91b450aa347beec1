"""Each chapter runs from top to bottom on the embedded data, and repeats itself."""

import subprocess
import sys

import pytest
import run

from tests.notebooks.test_ranges import check


@pytest.fixture(scope="module", params=run.chapters())
def quick(request):
    """The stem of a chapter and its quick copy, just executed."""
    # A process of its own, as `make notebooks` starts it. One after another: two at once on two
    # cores slow each other down many times.
    command = [sys.executable, "notebooks/run.py", "--profile", "quick", "--only", request.param]
    done = subprocess.run(command, cwd=run.ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    return request.param, run.ROOT / "_build" / "quick" / f"{request.param}.ipynb"


def test_the_quick_profile_is_in_range(quick):
    stem, path = quick
    notebook = run.nbformat.read(path, as_version=4)
    assert notebook.metadata["vaerec"]["profile"] == "quick"
    check(run.recorded(notebook), stem, "quick")


def test_marked_cells_give_the_same_output_twice(quick):
    """nbval runs the executed copy again and compares the cells tagged nbval-check-output."""
    _, path = quick
    marked = [cell for cell in run.code_cells(run.nbformat.read(path, as_version=4))
              if "nbval-check-output" in cell.metadata.get("tags", [])]
    assert len(marked) >= 2
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-cell-timeout=300", "-q",
               "-p", "no:cacheprovider", "-c", "/dev/null", str(path)]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-4000:]
