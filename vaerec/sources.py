"""The package's own code as a digest: which modules decide a number, and what they say without comments."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

ROOT = Path(__file__).parent
# They read, keep, show or ask; the data they make has a fingerprint of its own.
DECIDE_NOTHING = ("commands", "datasets", "exercises", "identity", "models.arguments", "models.exporting",
                  "models.items", "models.storage", "plotting", "protocols", "provenance",
                  "shards.from_files", "shards.large_world", "sources", "trained")


def package_code(*modules: str, without: tuple[str, ...] = DECIDE_NOTHING) -> str:
    """SHA-256 of the syntax trees of modules and of all modules of this package that they import.

    Comments, docstrings and the layout of lines do not count; nor does the version of Python.

    Parameters
    ----------
    modules : str
        Names without the package's, such as ``"training"`` or ``"models.mvae"``.
    without : tuple of str
        Modules, and what lies below them, that are left out.

    Raises
    ------
    ValueError
        There is no such module.
    """
    digest = hashlib.sha256()
    for name in modules_behind(*modules, without=without):
        digest.update(f"{name} {_canonical(_tree(name))}\n".encode())
    return digest.hexdigest()


def modules_behind(*modules: str, without: tuple[str, ...] = DECIDE_NOTHING) -> list[str]:
    """Names of modules and of those that they import, at any distance, in alphabetical order."""
    found, waiting = set(), list(modules)
    while waiting:
        name = waiting.pop()
        left_out = any(name == other or name.startswith(f"{other}.") for other in without)
        if name and name not in found and not left_out:
            found.add(name)
            waiting += _imported(_tree(name))
    return sorted(found)


def without_docstrings(tree: ast.AST) -> ast.AST:
    """Take all docstrings out of a syntax tree, in place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
                ast.get_docstring(node, clean=False) is not None):
            del node.body[0]
    return tree


def _path(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _tree(name: str) -> ast.AST:
    path = _path(name)
    if path is None:
        raise ValueError(f"{ROOT.name} has no module {name!r}")
    return without_docstrings(ast.parse(path.read_bytes()))


def _imported(tree: ast.AST) -> list[str]:
    """Modules of this package that a syntax tree imports."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            of_module = [f"{node.module}.{alias.name}" for alias in node.names]
            names += [name if _path(_inside(name)) else node.module for name in of_module]
    return [_inside(name) for name in names if name.startswith(f"{ROOT.name}.")]


def _inside(name: str) -> str:
    """A module's name without the package's."""
    return name.partition(".")[2]


def _canonical(value: object) -> object:
    """A syntax tree as nested lists, alike in all versions of Python, which add fields that are empty."""
    if isinstance(value, ast.AST):
        fields = [[name, _canonical(part)] for name, part in ast.iter_fields(value)
                  if part is not None and part != [] and name not in ("ctx", "kind", "type_comment")]
        return [type(value).__name__, *fields]
    return [_canonical(part) for part in value] if isinstance(value, list) else repr(value)
