"""make.py, the twin of the Makefile where there is no make: what it starts, and what it leaves alone."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALLING = ["venv", "requirements.txt", "requirements-torch.txt", "--editable"]


@pytest.fixture
def script(tmp_path, monkeypatch):
    """make.py of another checkout, which only notes what it would start."""
    spec = importlib.util.spec_from_file_location("make_script", ROOT / "make.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    made.asked, made.status = [], 0

    def start(command, env=None, **options):
        made.asked.append(command)
        if command[1:3] == ["-m", "venv"]:
            python = made.VENV / made.PYTHON.relative_to(made.VENV)
            python.parent.mkdir(parents=True)
            python.touch()
        return subprocess.CompletedProcess(command, made.status)

    monkeypatch.setattr(made.subprocess, "run", start)
    python, made.ROOT, made.VENV = made.PYTHON.relative_to(made.VENV), tmp_path, tmp_path / ".venv"
    made.PYTHON, made.LOCK = made.VENV / python, [tmp_path / path.name for path in made.LOCK]
    for path in made.LOCK:
        path.write_text(f"{path.name}==1.0\n")
    return made


def kinds(script, *arguments: str) -> list[str]:
    """What one call started."""
    script.asked.clear()
    script.main(*arguments)
    words = (*INSTALLING, "pytest", "book/build.py")
    return [next(word for word in reversed(command) if word in words) for command in script.asked]


def test_the_first_call_makes_everything_and_the_second_nothing(script):
    assert kinds(script, "test", "-k", "elbo") == [*INSTALLING, "pytest"]
    assert script.asked[-1][-2:] == ["-k", "elbo"]
    assert kinds(script, "book") == ["book/build.py"]


def test_make_trusts_what_it_leaves(script):
    kinds(script, "test")
    assert {path.name for path in script.VENV.iterdir()} >= {".made", ".locked", ".installed"}
    assert (script.VENV / ".locked").read_text() == "requirements.txt==1.0\nrequirements-torch.txt==1.0\n"
    assert Path((script.VENV / ".installed").read_text().strip()) == script.ROOT


def test_a_new_lock_or_another_folder_makes_the_environment_again(script):
    kinds(script, "test")
    script.LOCK[1].write_text("torch==9.0\n")
    assert kinds(script, "test") == [*INSTALLING, "pytest"]
    (script.VENV / ".installed").write_text("elsewhere\n")
    assert kinds(script, "test") == [*INSTALLING, "pytest"]


@pytest.mark.parametrize("linked", [False, True])
def test_what_make_did_not_make_is_left_alone(linked, script, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine").touch()
    if linked:
        (other / ".locked").touch()
        script.VENV.symlink_to(other)
    else:
        other.rename(script.VENV)
    with pytest.raises(SystemExit, match="left as it is. Move it away"):
        script.main("test")
    assert (script.VENV / "mine").exists() and script.asked == []


def test_a_failure_is_passed_on(script):
    kinds(script, "test")
    script.status = 3
    with pytest.raises(SystemExit) as ended:
        script.main("test")
    assert ended.value.code == 3


def test_it_says_what_it_can_do(script):
    with pytest.raises(SystemExit, match=r"make\.py book"):
        script.main("boook")


def test_both_ways_do_the_same(script):
    makefile = (ROOT / "Makefile").read_text()
    recipe = dict(re.findall(r"^([\w-]+):[^\n]*\n((?:\t[^\n]*\n)+)", makefile, re.MULTILINE))
    (brief,) = re.findall(r"^BRIEF := (.*)$", makefile, re.MULTILINE)
    assert script.COMMANDS["test"][-1] == recipe["test"].split('"')[1].replace("$(BRIEF)", brief)
    assert "$(BUILD) html" in recipe["book"] and script.COMMANDS["book"] == ["book/build.py", "html"]
    for name in ("lint", "lab", "notebooks"):
        assert " ".join(script.COMMANDS[name]) in recipe[name]
