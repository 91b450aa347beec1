"""The cell that installs the package: what it asks pip for, and what a reader is told when that fails."""

import re
import sys
from types import ModuleType

import pytest
import run
from IPython.core.interactiveshell import InteractiveShell

import vaerec

pytestmark = pytest.mark.filterwarnings("ignore:To exit")
STEMS = list(run.chapters())
ADDRESS, TAG = "https://github.com/reader/fork", f"v{vaerec.__version__}"


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
    """The message with which the cell ended, or "", whatever address the tree has."""
    source, places = re.subn(r'(PACKAGE = ")[^"]*', rf"\g<1>{address}", source)
    assert places == 1
    result = shell.run_cell(source)
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
    assert shell.asked == [f"install --quiet '{package} @ git+{ADDRESS}@{TAG}'"]
    assert "this notebook takes about" in capsys.readouterr().out


@pytest.mark.parametrize("place, told", [
    ("Kaggle", ["Kaggle", "Settings > Internet", "offline pack"]),
    ("Colab", ["Colab", ADDRESS, TAG, "public"]),
    ("", ["your own machine", "make lab"])])
def test_a_failed_installation_names_what_helps_where_it_runs(shell, monkeypatch, place, told):
    folders = ["/kaggle"] if place == "Kaggle" else []
    monkeypatch.setattr("glob.glob", lambda pattern, **options: folders if pattern == "/kaggle" else [])
    if place:  # Kaggle's image is made from Colab's, so it may have the module too
        monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    message = said(shell, first_cell("06-mvae"), ADDRESS)
    assert len(shell.asked) == 1
    assert all(word in message for word in told)
    assert not any(other in message for other in {"Kaggle", "Colab", "make lab"} - set(told))


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
