"""Each chapter tells how its exercises are checked, by names that exist."""

import ast
import re

import pytest
import run

from vaerec.exercises import bank

FENCE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def calls_in(stem: str) -> list[tuple[str, str]]:
    """Function and first argument of each call of vr.exercises in the fenced code of a chapter."""
    fences = [code for cell in run.read(stem).cells if cell.cell_type == "markdown"
              for code in FENCE.findall(cell.source) if "vr.exercises." in code]
    calls = [node for code in fences for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    return [(call.func.attr, call.args[0].value) for call in calls
            if ast.unparse(call.func).startswith("vr.exercises.") and call.args]


@pytest.mark.parametrize("stem", [path.stem for path in bank.files().values()])
def test_a_chapter_checks_each_of_its_exercises_in_order(stem):
    chapter = bank.of_chapter(stem.partition("-")[0])
    calls = calls_in(stem)
    assert [name for function, name in calls if function in ("check", "predict")] == list(chapter)
    # A guess is followed by the call that shows it again.
    assert [name for function, name in calls if function == "predict"] == \
        [name for function, name in calls if function == "reveal"]
    for function, name in calls:
        assert name in (chapter if function != "show" else {bank.find(next(iter(chapter))).chapter})
