"""What `make` does, where there is no make: `py make.py book`, and without a word the list of commands.

It makes the same .venv from the same lock, with the same marks, so either can go on with the other's.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
LOCK = [ROOT / "requirements.txt", ROOT / "requirements-torch.txt"]
# Several OpenMP programs at once slow each other many times: each worker of the tests has one thread.
ONE_THREAD = {"test": {"OMP_NUM_THREADS": "1"}}
# After the command more may be said to the program that it starts.
COMMANDS = {
    "book": ["book/build.py", "html"],
    "test": ["-m", "pytest", "--numprocesses", "auto", "--dist", "worksteal",
             "-m", "(unit or smoke) and not slow"],
    "lint": ["-m", "ruff", "check", "."],
    "notebooks": ["notebooks/run.py"],
    "lab": ["-m", "jupyterlab", "notebooks"],
}


def run(*arguments, **variables):
    """Run the environment's Python in the repository; its failure is ours."""
    status = subprocess.run([str(PYTHON), *arguments], cwd=ROOT, env=os.environ | variables).returncode
    if status:
        sys.exit(status)


def install():
    """Make .venv from the lock, unless it holds it already; never empty a folder that make did not make."""
    locked, installed = VENV / ".locked", VENV / ".installed"
    lock = b"".join(path.read_bytes() for path in LOCK)
    here = PYTHON.exists() and installed.exists() and Path(installed.read_text().strip()) == ROOT
    if here and locked.exists() and locked.read_bytes() == lock:
        return
    ours = not VENV.is_symlink() and any((VENV / mark).exists() for mark in (".made", ".locked"))
    if VENV.exists() and not ours:
        sys.exit(".venv lacks what requirements.txt asks for, but it is a link or was not made by make, so "
                 "it is left as it is. Move it away, then call this again.")
    print("Making .venv from requirements.txt: minutes and gigabytes the first time.", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir()
    (VENV / ".made").touch()
    subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    run("-m", "pip", "install", "--quiet", "--no-deps", "-r", LOCK[0].name)
    run("-m", "pip", "install", "--quiet", "-r", LOCK[1].name)
    locked.write_bytes(lock)
    run("-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")
    installed.write_text(f"{ROOT}\n")


def main(command="", *more):
    """Run one of `COMMANDS`."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever has an older one is told so
        sys.exit(f"this project needs Python 3.11 or newer, but this is {sys.version.split()[0]}")
    if command not in COMMANDS:
        sys.exit("say what: " + ", ".join(f"{sys.executable} make.py {name}" for name in COMMANDS))
    install()
    run(*COMMANDS[command], *more, **ONE_THREAD.get(command, {}))
    if command == "book":
        print(f"The book is built. Open it: {ROOT / '_build' / 'html' / 'index.html'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
