"""The chapters on what Colab and Kaggle preinstall: `make colab-check`.

Each service has a list of versions beside this file. Two differences from the real thing remain: torch is the
lock's and Python is the reader's, because only these are cheap to install everywhere. The weekly workflow
runs the same notebooks in the image that Colab publishes.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import run

from tests.notebooks.test_ranges import check
from tests.unit.test_project import normal, pins

pytestmark = pytest.mark.slow
FOLDER = run.ROOT / "_build" / "preinstalled"
HERE = Path(__file__).parent


class Environment:
    """A fresh virtual environment that does not see this one."""

    def __init__(self, folder: Path):
        self.python = folder / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)

    def run(self, *arguments: str) -> str:
        hidden = ("PYTHON", "VIRTUAL_ENV", "JUPYTER")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        done = subprocess.run([self.python, *arguments], cwd=run.ROOT, env=environment,
                              capture_output=True, text=True)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        return done.stdout

    def install(self, *what: str) -> None:
        self.run("-m", "pip", "install", "--quiet", *what)

    def versions(self) -> dict[str, str]:
        listed = json.loads(self.run("-m", "pip", "list", "--format=json"))
        return {normal(one["name"]): one["version"] for one in listed}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The package as the first cell gets it; built from a copy, since building leaves files behind."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    shutil.copytree(run.ROOT / "vaerec", source / "vaerec", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
        shutil.copy(run.ROOT / name, source)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
                    "--wheel-dir", str(target), str(source)], check=True)
    (made,) = target.glob("vaerec-*.whl")
    return made


@pytest.fixture(scope="module", params=["colab", "kaggle"])
def service(request, wheel):
    """What the service preinstalls and then the package; the versions before and after."""
    environment = Environment(FOLDER / request.param)
    listed = str(HERE / f"{request.param}.txt")
    environment.install("-r", listed, f"torch=={pins()['torch']}")
    before = environment.versions()
    environment.install(f"{wheel}[tuning]")
    after = environment.versions()
    # What runs a notebook from outside is not the reader's: it comes last, and may change nothing either.
    environment.install("papermill", "-c", listed)
    return environment, before, after


def test_installing_the_package_replaces_nothing(service):
    _, before, after = service
    assert "vaerec" in after and "vaerec" not in before
    replaced = {name: (version, after.get(name)) for name, version in before.items()
                if after.get(name) != version}
    assert replaced == {}


@pytest.mark.parametrize("stem", run.chapters())
def test_a_chapter_runs_there(stem, service):
    environment, _, _ = service
    environment.run("notebooks/run.py", "--profile", "quick", "--only", stem)
    notebook = run.nbformat.read(run.ROOT / "_build" / "quick" / f"{stem}.ipynb", as_version=4)
    check(run.recorded(notebook), stem, "quick")
