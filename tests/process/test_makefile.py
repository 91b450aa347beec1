"""The Makefile's environment, with a stand-in for Python that only writes down what it is asked."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Answers the version question; makes a .venv whose python logs its arguments and fails on demand.
PYTHON = r"""#!/bin/sh
case "$*" in
*">="*) echo True ;;
-c*) echo 3.11 ;;
*)
    echo "venv" >> log
    mkdir -p .venv/bin
    printf '#!/bin/sh\necho "$*" >> log\ntest ! -e broken\n' > .venv/bin/python
    chmod +x .venv/bin/python ;;
esac
"""
OLD_PYTHON = """#!/bin/sh
case "$*" in *">="*) echo False ;; *) echo 3.9 ;; esac
"""


class Checkout:
    """A copy of the files that decide about the environment, in a folder with a space."""

    def __init__(self, folder: Path, python: str):
        self.folder, self.programs = folder, folder.with_name("programs")
        folder.mkdir(parents=True)
        self.programs.mkdir()
        for name in ("Makefile", "requirements.txt", "requirements-torch.txt", "pyproject.toml"):
            shutil.copy(ROOT / name, folder)
        (self.programs / "python3").write_text(python)
        (self.programs / "python3").chmod(0o755)

    def make(self, *arguments: str) -> subprocess.CompletedProcess:
        # This test may itself run under make: its variables must not reach the inner one.
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "PYTHON"))}
        environment["PATH"] = f"{self.programs}:{environment['PATH']}"
        return subprocess.run(["make", *arguments], cwd=self.folder, env=environment,
                              capture_output=True, text=True)

    def asked(self, *arguments: str) -> list[str]:
        """What one call of make asked Python for."""
        log = self.folder / "log"
        log.write_text("")
        self.make(*arguments)
        return log.read_text().splitlines()


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    return Checkout(tmp_path / "a folder", PYTHON)


def kinds(calls: list[str]) -> list[str]:
    def kind(call: str) -> str:
        words = ("requirements.txt", "requirements-torch.txt", "--editable", "pytest", "venv")
        return next(word for word in words if word in call)
    return [kind(call) for call in calls]


MADE = ["venv", "requirements.txt", "requirements-torch.txt", "--editable"]


def test_the_first_call_makes_everything_and_the_second_nothing(checkout):
    assert kinds(checkout.asked("test")) == [*MADE, "pytest"]
    assert kinds(checkout.asked("test")) == ["pytest"]
    assert checkout.make("-q", ".venv/.installed").returncode == 0


def test_an_older_python_gets_one_line(tmp_path):
    checkout = Checkout(tmp_path / "a folder", OLD_PYTHON)
    done = checkout.make("book")
    assert done.returncode != 0
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "needs Python 3.11 or newer" in line
    assert '"python3" is 3.9' in line
    assert "make PYTHON=python3.12 book" in line
    assert not (checkout.folder / ".venv").exists()


def test_a_missing_python_gets_one_line(checkout):
    (line,) = checkout.make("book", "PYTHON=no-such-python").stderr.splitlines()
    assert '"no-such-python" is not there' in line


def test_an_interrupted_installation_is_not_trusted(checkout):
    (checkout.folder / "broken").touch()
    assert checkout.make("test").returncode != 0
    (checkout.folder / "broken").unlink()
    assert kinds(checkout.asked("test")) == [*MADE, "pytest"]


def test_a_new_date_alone_installs_nothing(checkout):
    checkout.make("test")
    os.utime(checkout.folder / "requirements.txt")
    assert "requirements.txt" not in kinds(checkout.asked("test"))
    assert kinds(checkout.asked("test")) == ["pytest"]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-torch.txt"])
def test_a_new_lock_makes_the_environment_again(name, checkout):
    checkout.make("test")
    (checkout.folder / ".venv" / "of the old one").touch()
    with (checkout.folder / name).open("a") as lock:
        lock.write("one-more==1.0\n")
    # A file system may keep times in whole seconds: the new lock must be younger.
    os.utime(checkout.folder / name, times=(time.time() + 2,) * 2)
    assert kinds(checkout.asked("test"))[:4] == MADE
    assert not (checkout.folder / ".venv" / "of the old one").exists()


def refused(checkout: Checkout, kept: Path) -> None:
    """Make says in a sentence that it leaves .venv alone, and does."""
    before = sorted(kept.iterdir())
    done = checkout.make("test")
    assert done.returncode != 0 and "left as it is. Move it away" in done.stderr
    assert sorted(kept.iterdir()) == before != []
    assert not (checkout.folder / "log").exists()


def test_an_environment_that_make_did_not_make_is_left_alone(checkout):
    own = checkout.folder / ".venv"
    shutil.copytree(checkout.programs, own / "bin")
    refused(checkout, own / "bin")


def test_an_environment_behind_a_link_is_left_alone(checkout, tmp_path):
    other = Checkout(tmp_path / "other" / "checkout", PYTHON)
    other.make("test")
    (checkout.folder / ".venv").symlink_to(other.folder / ".venv")
    refused(checkout, other.folder / ".venv")
    (other.folder / ".venv" / ".installed").unlink()  # of no folder in particular, but with another lock
    with (checkout.folder / "requirements.txt").open("a") as lock:
        lock.write("one-more==1.0\n")
    refused(checkout, other.folder / ".venv")


def test_an_environment_that_was_cut_off_while_it_was_made_is_made_again(checkout):
    (checkout.folder / ".venv").mkdir()
    (checkout.folder / ".venv" / ".made").touch()
    assert kinds(checkout.asked("test")) == [*MADE, "pytest"]


def test_a_moved_environment_is_made_again(checkout):
    checkout.make("test")
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("another folder"))
    assert kinds(checkout.asked("test"))[:4] == MADE
    assert kinds(checkout.asked("test")) == ["pytest"]


def test_an_environment_that_lost_its_python_is_made_again(checkout):
    checkout.make("test")
    (checkout.folder / ".venv/bin/python").unlink()
    assert kinds(checkout.asked("test"))[:4] == MADE


def test_colab_check_takes_names_of_notebooks(checkout):
    for stem in ("00-tour", "06-mvae"):
        (checkout.folder / "notebooks").mkdir(exist_ok=True)
        (checkout.folder / "notebooks" / f"{stem}.ipynb").touch()
    (*_, call) = checkout.asked("colab-check", "ONLY=00-tour 06-mvae")
    assert call.endswith("-k replaces or 00-tour or 06-mvae")
    assert "no notebook 6-mvae" in checkout.make("colab-check", "ONLY=6-mvae 00-tour").stderr


def test_a_new_chapter_gets_its_title_as_it_was_typed(checkout):
    title = """Why "MVAE" isn't EASE"""
    (*_, call) = checkout.asked("new-chapter", "NAME=12-why", f"TITLE={title}")
    assert call == f"notebooks/new_chapter.py 12-why {title}"


@pytest.mark.slow
def test_the_book_is_built_from_nothing_in_a_path_with_spaces(tmp_path):
    folder = tmp_path / "a fresh copy"
    left_out = shutil.ignore_patterns(".git", ".venv", "_build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, folder, ignore=left_out)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    done = subprocess.run(["make", "book"], cwd=folder, env=environment,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    index = folder / "_build/html/index.html"
    assert index.is_file()
    assert str(index) in done.stdout.splitlines()[-1]
    again = subprocess.run(["make", "-q", ".venv/.installed"], cwd=folder, env=environment)
    assert again.returncode == 0
