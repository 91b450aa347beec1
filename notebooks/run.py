"""Run the chapters by papermill: ``python notebooks/run.py --profile quick --only 06-mvae``.

``quick`` writes to ``_build/quick``. ``full`` writes the committed notebook in place, and only
once it has run to its end, so that a failing run leaves it as it was.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import yaml

NOTEBOOKS = Path(__file__).resolve().parent
ROOT = NOTEBOOKS.parent
PROFILES = ("quick", "full")
# Timestamps of a run would make every execution a change of the committed file.
RUN_METADATA = ("papermill", "execution", "ExecuteTime")
THE_VERSION = re.compile(rb'^__version__ = ".*"$', re.MULTILINE)


def chapters() -> dict[str, dict]:
    """Parameters of each chapter and profile, from profiles.yaml."""
    return yaml.safe_load((NOTEBOOKS / "profiles.yaml").read_text(encoding="utf-8"))


def read(stem: str) -> nbformat.NotebookNode:
    """Read a committed notebook."""
    return nbformat.read(NOTEBOOKS / f"{stem}.ipynb", as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Code cells in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def parameters_of(notebook: nbformat.NotebookNode) -> dict:
    """Names and values that the cell tagged ``parameters`` assigns.

    Raises
    ------
    ValueError
        There is no such cell, or it holds more than plain assignments of literals.
    """
    tagged = [c for c in code_cells(notebook) if "parameters" in c.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise ValueError(f"expected one cell tagged 'parameters', found {len(tagged)}")
    values = {}
    for line in ast.parse(tagged[0].source).body:
        try:
            (name,) = line.targets
            values[name.id] = plain(ast.literal_eval(line.value))
        except (AttributeError, ValueError) as error:
            raise ValueError(
                f"the parameters cell holds more than `name = value`: {ast.unparse(line)!r}"
            ) from error
    return values


def plain(value):
    """Turn tuples into lists, at any depth: YAML has no tuples."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def code_hash(notebook: nbformat.NotebookNode) -> str:
    """SHA-256 of the sources of the code cells: changes when the outputs may be stale.

    Without the first one, which installs the package and computes nothing: another address of the
    repository or another version tag makes no result stale.
    """
    sources = [cell.source for cell in code_cells(notebook)[1:]]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def package_hash() -> str:
    """SHA-256 of every source file of the package, with its path.

    Without the version and the exercises, which compute nothing that a chapter shows: a release, or a
    better message to a wrong answer, makes no result stale.
    """
    digest, package = hashlib.sha256(), ROOT / "vaerec"
    for path in sorted(p for p in package.rglob("*") if p.suffix in (".py", ".json")):
        if package / "exercises" in path.parents:
            continue
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0")
        digest.update(THE_VERSION.sub(b"", path.read_bytes()) + b"\0")
    return digest.hexdigest()


def is_fresh(notebook: nbformat.NotebookNode) -> bool:
    """Whether the outputs are those of the full profile, of this code and of this package."""
    made = notebook.metadata.get("vaerec", {})
    return (made.get("profile"), made.get("code_hash"), made.get("package_hash")) == (
        "full", code_hash(notebook), package_hash())


def recorded(notebook: nbformat.NotebookNode) -> dict[str, float | str]:
    """What the notebook's last cell kept with `vaerec.record`, by name."""
    values = {}
    for output in (output for cell in code_cells(notebook) for output in cell.outputs):
        mark = output.get("metadata", {}).get("scrapbook")
        if mark:
            values[mark["name"]] = ast.literal_eval(output.data[f"{mark['mime_prefix']}text/plain"])
    return values


def run_quick(stem: str) -> Path:
    """Run with the ``quick`` parameters into ``_build/quick`` and return the file."""
    return _run(stem, chapters()[stem]["quick"], ROOT / "_build" / "quick" / f"{stem}.ipynb", "quick")


def run_full(stem: str) -> Path:
    """Run the notebook with its own parameters and put the result in its place.

    Raises
    ------
    ValueError
        Its parameters cell and profiles.yaml disagree.
    """
    own, listed = parameters_of(read(stem)), chapters()[stem]["full"]
    if own != listed:
        raise ValueError(
            f"{stem}: the parameters cell says {own}, but profiles.yaml says {listed}; "
            "make them equal"
        )
    # Without parameters papermill injects no cell, so the file keeps the cells that were written.
    return _run(stem, {}, NOTEBOOKS / f"{stem}.ipynb", "full")


def _run(stem: str, parameters: dict, target: Path, profile: str) -> Path:
    # papermill saves after each cell: another process may run the same chapter, or read the file, meanwhile.
    draft = ROOT / "_build" / "draft" / f"{stem}-{profile}-{os.getpid()}.ipynb"
    _execute(stem, draft, parameters)
    _finish(draft, target, profile)
    draft.unlink()
    return target


def _execute(stem: str, target: Path, parameters: dict) -> None:
    # Imported late: --help and the tests of the functions above should not wait for it.
    import papermill

    target.parent.mkdir(parents=True, exist_ok=True)
    # This environment's own kernel, even where the user has another "python3" registered.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.environ.setdefault("VAEREC_MODELS", "")  # what is published or tested is trained, not loaded
    papermill.execute_notebook(
        NOTEBOOKS / f"{stem}.ipynb", target, parameters=parameters,
        kernel_name="python3", cwd=NOTEBOOKS, progress_bar=sys.stderr.isatty(),
    )


def _finish(executed: Path, target: Path, profile: str) -> None:
    """Clean an executed notebook, mark what made it, and move it to its place in one step."""
    notebook = nbformat.read(executed, as_version=4)
    for node in (notebook, *notebook.cells):
        for key in RUN_METADATA:
            node.metadata.pop(key, None)
    for cell in code_cells(notebook):
        cell.outputs = _joined(cell.outputs)
    notebook.metadata["vaerec"] = {
        "profile": profile, "code_hash": code_hash(notebook), "package_hash": package_hash(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    finished = executed.with_suffix(".finished")
    nbformat.write(notebook, finished)
    os.replace(finished, target)


def _joined(outputs: list) -> list:
    """Join neighbouring pieces of one stream: where the kernel cuts them is chance."""
    joined = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if output.output_type == "stream" and last.get("name") == output.name:
            last["text"] += output.text
        else:
            joined.append(output)
    return joined


def main(arguments: list[str] | None = None) -> int:
    """Run the chapters that were asked for, one after another."""
    parser = argparse.ArgumentParser(description="Run the book's notebooks.")
    parser.add_argument("--profile", default="quick", help=" or ".join(PROFILES))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="such as 06-mvae")
    options = parser.parse_args(arguments)
    known = list(chapters())
    stems = [name.removesuffix(".ipynb") for name in options.only or known]
    unknown = [stem for stem in stems if stem not in known]
    if unknown:
        parser.error(f"no notebook {', '.join(unknown)}; there are: {', '.join(known)}")
    if options.profile not in PROFILES:
        parser.error(f"no profile {options.profile!r}; there are: {', '.join(PROFILES)}")
    run = {"quick": run_quick, "full": run_full}[options.profile]
    for stem in stems:
        print(f"{stem} ({options.profile}) ...", flush=True)
        start = time.perf_counter()
        target = run(stem)
        print(f"  {time.perf_counter() - start:.0f} s -> {target.relative_to(ROOT)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
