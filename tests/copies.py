"""Copies of the tree, as a reader has one: the recipe for a copy of one's own and a release run in them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Its .venv only passes on to the Python that runs the tests: nothing is installed.
PYTHON = """#!/bin/sh
case "$*" in *"pip install"*) exit 0 ;; esac
exec "{python}" "$@"
"""


def repository_files() -> list[Path]:
    """Files that are, or by default would be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def copy_tree(folder: Path) -> Path:
    """What is here, committed or not, in another folder."""
    for path in repository_files():
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folder


def build_book(root: Path, folder: Path, slug: str, builder: str = "html") -> Path:
    """The book as a repository's CI builds it, where every warning is an error; the folder of its pages."""
    done = subprocess.run([sys.executable, root / "book" / "build.py", builder, folder],
                          env=os.environ | {"GITHUB_REPOSITORY": slug}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder / "_build" / builder


class OwnCopy:
    """A clone on the branch main, in a path with spaces; what it pushes arrives in a folder beside it."""

    def __init__(self, folder: Path, slug: str):
        self.root, self.slug = copy_tree(folder / "my course" / "vae course"), slug
        self.remote = folder / "my remotes" / f"{slug}.git"
        python = self.root / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(PYTHON.format(python=sys.executable))
        python.chmod(0o755)
        lock = b"".join((self.root / name).read_bytes()
                        for name in ("requirements.txt", "requirements-torch.txt"))
        (self.root / ".venv" / ".locked").write_bytes(lock)
        (self.root / ".venv" / ".installed").write_text(f"{self.root}\n")
        subprocess.run(["git", "init", "--quiet", "--bare", self.remote], check=True)
        for command in ("init --quiet --initial-branch main", "config user.name Reader",
                        "config user.email reader@example.org", "config commit.gpgsign false",
                        "config tag.gpgsign false", "config core.hooksPath none"):
            self.git(*command.split())
        self.git("remote", "add", "origin", str(self.remote))
        self.commit("Begin")

    def run(self, *command: str) -> subprocess.CompletedProcess:
        """Run a command there, as the CI of its repository would."""
        hidden = ("MAKE", "MFLAGS", "PYTEST", "VERSION", "URL", "GIT_")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        return subprocess.run(command, cwd=self.root, capture_output=True, text=True,
                              env=environment | {"GITHUB_REPOSITORY": self.slug,
                                                 "GITHUB_SERVER_URL": "https://github.com"})

    def shell(self, commands: str) -> str:
        """Run lines of a page as they stand there."""
        done = self.run("bash", "-ec", commands)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def git(self, *arguments: str) -> str:
        return self.shell("git " + " ".join(f"'{argument}'" for argument in arguments))

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)

    def texts(self) -> dict[str, bytes]:
        """What git sees of it."""
        return {name: (self.root / name).read_bytes() for name in self.git("ls-files").splitlines()}

    def passes(self, *suites: str) -> None:
        """Run some of its own tests there."""
        done = self.run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow",
                        *suites)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        assert " passed" in done.stdout
