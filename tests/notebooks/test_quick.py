"""Each chapter runs from top to bottom on the embedded data."""

import subprocess
import sys
from pathlib import Path

import pytest
import run

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("stem", run.chapters())
def test_the_quick_profile_runs(stem):
    # A process of its own, as `make notebooks` starts it. One after another: two at once on two
    # cores slow each other down many times.
    command = [sys.executable, "notebooks/run.py", "--profile", "quick", "--only", stem]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    executed = run.nbformat.read(ROOT / "_build" / "quick" / f"{stem}.ipynb", as_version=4)
    assert executed.metadata["vaerec"]["profile"] == "quick"
