"""What holds for the repository as a whole."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.copies import repository_files

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.txt", "requirements-torch.txt")
NOTEBOOKS = "requirements-notebooks.txt"


def pins(*files: str) -> dict[str, str]:
    """Versions by name. Where Python's version or the system decides, the last one: the newest Python's."""
    found = {}
    for line in "".join((ROOT / name).read_text() for name in files or LOCKS).splitlines():
        if line.strip() and not line.startswith(("#", "    --hash=sha256:")):
            name, _, version = line.partition(";")[0].strip(" \\").partition("==")
            found[normal(name)] = version
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("file", [*LOCKS, NOTEBOOKS])
def test_a_stranger_can_install_the_lock(file):
    # No local build such as +cpu, no file and no address of this machine, no package of our own.
    for name, version in pins(file).items():
        assert re.fullmatch(r"[0-9][0-9a-z.]*", version), f"{name}: {version!r}"
    assert "vaerec" not in pins(file) and not re.search(r"://|^-", (ROOT / file).read_text(), re.MULTILINE)


def test_each_pin_but_torch_has_hashes():
    # pip asks for the hash of every line as soon as one has it, and torch's local builds have none published.
    blocks = re.split(r"\n(?=\S)", (ROOT / LOCKS[0]).read_text().strip())
    blocks = [block for block in blocks if not block.startswith("#")]
    assert len(blocks) > 200 and all("--hash=sha256:" in block for block in blocks)
    assert list(pins(LOCKS[1])) == ["torch"] and "torch" not in pins(LOCKS[0])


def test_a_small_set_for_the_notebooks_is_part_of_the_lock():
    small, project = pins(NOTEBOOKS), tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert small.items() <= pins().items()
    assert not [name for name in small if re.search("sphinx|jupyter-book|fastapi|uvicorn|mlflow", name)]
    needed = {normal(requirement.partition(">=")[0]) for requirement in project["dependencies"]}
    assert needed | {"jupyterlab", "ipykernel", "optuna", "scikit-learn"} <= small.keys()
    assert len(small) < 0.6 * len(pins())


def test_the_lock_holds_what_the_human_list_asks_for():
    for line in (ROOT / "requirements.in").read_text().splitlines():
        name, exact, version = line.partition("#")[0].strip().partition("==")
        if name:
            name = re.split(r"[<>[]", name)[0]
            assert normal(name) in pins(), f"{name} is new in requirements.in: run make lock"
            assert not exact or pins()[normal(name)] == version


def test_the_environment_file_names_the_files_of_the_lock():
    text = (ROOT / "environment.yml").read_text()
    assert yaml.safe_load(text)["dependencies"] == ["python=3.11", "pip"]
    assert all(f"-r {name}" in text for name in LOCKS)


def test_the_package_pins_nothing_from_above():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
        assert re.fullmatch(r"[a-z-]+>=[0-9.]+", requirement)
        assert normal(requirement.partition(">=")[0]) in pins()


def test_the_command_of_the_package_is_there():
    (command,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"].items()
    module, _, function = command[1].partition(":")
    assert command[0] == "vaerec" and callable(getattr(importlib.import_module(module), function))


def test_the_version_is_the_same_everywhere():
    import vaerec

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == vaerec.__version__


@pytest.mark.process
@pytest.mark.smoke
def test_the_example_of_the_readme_runs_as_it_stands_there(tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"<!-- example -->\n```python\n(.*?)```", text, re.DOTALL)
    assert len(ast.parse(example).body) <= 10
    # About 15 s on a quiet machine; the limit only ends a run that hangs.
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, timeout=180,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ndcg@100" in done.stdout
    assert "score" in done.stdout


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_to_files_of_the_repository_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_what_a_message_asks_pip_for_is_what_the_extra_needs():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name, path in (("cli", "vaerec/__main__.py"), ("onnx", "vaerec/models/exporting.py")):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert [requirement for requirement in extras[name] if f"'{requirement}'" not in text] == []


def test_nobody_is_sent_to_an_index_for_the_package():
    # No index has it: it comes from a repository's tag, or from the offline pack.
    told = re.compile(r"pip install [^`\n]*\bvaerec\b[^`\n]*")
    lines = [line for path in repository_files() if path.suffix in (".md", ".py", ".ipynb", ".yaml", ".yml")
             and ROOT / "tests" not in path.parents
             for line in told.findall(path.read_text(encoding="utf-8"))]
    assert lines and [line for line in lines if "git+" not in line and "--no-index" not in line] == []


def test_no_movielens_rows_are_in_the_repository():
    row = re.compile(rb"^\d+(::|\t)\d+\1[1-5]\1\d+\s*$", re.MULTILINE)
    found = [path for path in repository_files() if len(row.findall(path.read_bytes())) > 5]
    assert found == []


def test_no_module_is_named_after_nothing():
    vague = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [path for path in repository_files() if path.stem in vague] == []


def test_the_results_of_the_readme_are_those_that_the_notebooks_recorded():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import results

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert results.updated(text) == text, "python benchmarks/results.py"
