"""What `import vaerec` leaves out, since it takes seconds and most readers of a page never need it."""

import subprocess
import sys

import pytest

import vaerec

SLOW = {"lightning", "matplotlib", "scipy.stats", "torch._dynamo", "sympy"}
MET = """
import sys
import vaerec
print(*sorted({slow} & set(sys.modules)))
"""


def modules_after(code: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", code.replace("{slow}", repr(SLOW))], check=True,
                          capture_output=True, text=True)
    return set(done.stdout.split())


def test_the_import_brings_nothing_that_is_slow():
    assert modules_after(MET) == set()


def test_what_is_left_out_comes_when_it_is_asked_for():
    assert "matplotlib" in modules_after(MET.replace("import vaerec\n", "import vaerec; vaerec.plotting\n"))
    with pytest.raises(AttributeError, match="no attribute 'ploting'"):
        vaerec.ploting  # noqa: B018
