"""The cell that installs the package: what it asks pip for, and what a reader is told when that fails."""

import sys

import pytest
import run
from IPython.core.interactiveshell import InteractiveShell

pytestmark = pytest.mark.filterwarnings("ignore:To exit")
STEMS = list(run.chapters())
ADDRESS = "https://github.com/reader/fork"


def first_cell(stem: str) -> str:
    return run.code_cells(run.read(stem))[0].source


@pytest.fixture
def shell(monkeypatch):
    """An IPython in which vaerec cannot be imported until pip has run, and pip keeps what it was told."""
    made = InteractiveShell()
    made.asked = []
    made.installs = False
    monkeypatch.setattr("glob.glob", lambda pattern, recursive: [])
    monkeypatch.setitem(sys.modules, "vaerec", None)

    def pip(line):
        made.asked.append(line)
        if made.installs:
            monkeypatch.undo()

    made.register_magic_function(pip, "line", "pip")
    return made


def said(shell, source: str, address: str = "") -> str:
    """The message with which the cell ended, or ""."""
    result = shell.run_cell(source.replace('PACKAGE = ""', f'PACKAGE = "{address}"', 1))
    assert result.error_before_exec is None
    return str(result.error_in_exec or "")


@pytest.mark.parametrize("stem", STEMS)
def test_without_an_address_it_says_so(stem, shell):
    assert "names no repository" in said(shell, first_cell(stem))
    assert shell.asked == []


@pytest.mark.parametrize("stem", STEMS)
def test_with_an_address_it_installs_this_tag(stem, shell, capsys):
    shell.installs = True
    assert said(shell, first_cell(stem), ADDRESS) == ""
    package = "vaerec[tuning]" if stem.startswith("10") else "vaerec"
    assert shell.asked == [f"install --quiet '{package} @ git+{ADDRESS}@v0.1.0'"]
    assert "this notebook takes about" in capsys.readouterr().out


def test_a_failed_installation_names_the_switch_and_the_pack(shell):
    message = said(shell, first_cell("06-mvae"), ADDRESS)
    assert len(shell.asked) == 1
    assert "Settings > Internet" in message and "offline pack" in message


def test_the_offline_pack_comes_before_the_internet(shell, monkeypatch):
    wheel = "/kaggle/input/my pack/v1/vaerec-0.1.0-py3.whl"
    monkeypatch.setattr("glob.glob", lambda pattern, recursive: [wheel])
    said(shell, first_cell("06-mvae"), ADDRESS)
    assert shell.asked == ["install --quiet --no-index --find-links '/kaggle/input/my pack/v1' 'vaerec'"]


def test_all_chapters_have_the_same_cell():
    """But for the minutes, and what chapter 10 needs besides."""
    cells = {first_cell(stem).rpartition("\n")[0] for stem in STEMS if not stem.startswith("10")}
    assert len(cells) == 1
    own = first_cell("10-tuning").rpartition("\n")[0].replace("vaerec[tuning]", "vaerec").splitlines()
    more = {line.strip() for line in own} - {line.strip() for line in cells.pop().splitlines()}
    assert {line.partition("(")[0] for line in more} == {
        "import warnings", "import optuna", "warnings.filterwarnings"}
