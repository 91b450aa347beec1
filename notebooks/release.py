"""Write the next version wherever it stands: ``python notebooks/release.py VERSION``.

It commits, tags and pushes nothing: it prints the commands that do, so that the changes can be read before.
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import run
from repository import CITATION, ROOT, address, notebooks, replace_all, substituted

VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
PACKAGE = "vaerec/__init__.py"
UNRELEASED = re.compile(r"^## Unreleased\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
NEXT = """\
Version {version} stands in {files} files. Look at them (git diff) and run make test. Then:
git commit --all --message "Version {version}"
git tag v{version}
git push --atomic {remote} {branch} v{version}"""


def git(root: Path, *arguments: str) -> str:
    """What git answers.

    Raises
    ------
    ValueError
        Git refuses, with its own first line.
    """
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"git {arguments[0]}: {done.stderr.strip().splitlines()[0]}")
    return done.stdout.strip()


def numbers(version: str) -> tuple[int, ...]:
    """0.1.10 comes after 0.1.9."""
    return tuple(map(int, version.split(".")))


def current(root: Path) -> str:
    """The version that the package names."""
    return re.search(r'\n__version__ = "(.*)"', (root / PACKAGE).read_text(encoding="utf-8"))[1]


def refuse_version(version: str, root: Path) -> None:
    """Say what is wrong with a version.

    Raises
    ------
    ValueError
        It is none, it is tagged already, or it is older than the package's or than a tag's.
    """
    if not VERSION.fullmatch(version):
        raise ValueError(f"VERSION={version}: expected three numbers, such as 0.1.1")
    tags = git(root, "tag", "--list", "v*").splitlines()
    if f"v{version}" in tags:
        raise ValueError(f"VERSION={version}: the tag v{version} is there already; take the next number")
    known = [current(root), *(tag[1:] for tag in tags if VERSION.fullmatch(tag[1:]))]
    newest = max(known, key=numbers)
    if numbers(version) < numbers(newest):
        raise ValueError(f"VERSION={version}: {newest} came before, and versions do not go backwards")


def remote(root: Path) -> str:
    """Git's name for the repository that the notebooks install from.

    Raises
    ------
    ValueError
        The notebooks name no repository, or no remote is the one that they name.
    """
    url = address(root)
    if not url:
        raise ValueError("the notebooks name no repository to install this version from: "
                         "make repository URL=https://github.com/you/name")
    path = urlsplit(url).path.strip("/").lower()
    for name in git(root, "remote").splitlines():
        found = git(root, "remote", "get-url", "--push", name).lower().removesuffix("/").removesuffix(".git")
        if re.split("[/:]", found)[-2:] == path.split("/"):
            return name
    raise ValueError(f"no remote of this clone is {url}, which the notebooks name: "
                     f"git remote add origin {url}")


def refuse_state(root: Path) -> None:
    """Say what is missing before a release can be made.

    Raises
    ------
    ValueError
        Something is not committed, or a notebook does not show what this code and package compute.
    """
    changed = git(root, "status", "--porcelain").splitlines()
    if changed:
        name = changed[0].split(maxsplit=1)[1]
        raise ValueError(f"not everything is committed, such as {name}: do that first, so that "
                         "the release holds its version and nothing else")
    older = [path.stem for path in notebooks(root) if not run.is_fresh(run.nbformat.read(path, as_version=4))]
    if older:
        raise ValueError(f"code or package changed after the last run of {len(older)} notebooks: "
                         f"make notebooks PROFILE=full ONLY=\"{' '.join(older)}\", and commit them")


def changelog(text: str, version: str, date: str) -> str:
    """The changelog whose unreleased changes are those of this version.

    Raises
    ------
    ValueError
        There are none.
    """
    found = UNRELEASED.search(text)
    if not found or not found[1].strip():
        raise ValueError('nothing stands under "## Unreleased" in CHANGELOG.md: '
                         "write there what changes for readers")
    return text.replace("## Unreleased\n", f"## Unreleased\n\n## {version} - {date}\n", 1)


def new_texts(version: str, root: Path) -> dict[Path, str]:
    """What each file holds with this version and today's date."""
    date = datetime.now(UTC).date().isoformat()
    package, citation, readme, changes = (root / name for name in
                                          (PACKAGE, CITATION, "README.md", "CHANGELOG.md"))
    old = {path: path.read_text(encoding="utf-8")
           for path in (package, citation, readme, changes, *notebooks(root))}
    cited = substituted(citation, old[citation], r"\nversion: ", version, "version")
    texts = {
        package: substituted(package, old[package], r'\n__version__ = "', version, "version"),
        citation: substituted(citation, cited, r"\ndate-released: ", date, "date"),
        # The recipe for a copy of one's own names the tag.
        readme: re.sub(rf"\bv{re.escape(current(root))}\b", f"v{version}", old[readme]),
        changes: changelog(old[changes], version, date),
    }
    before = r'REPOSITORY, VERSION, PACKAGE = \\"[^"\\]*\\", \\"v'
    return texts | {path: substituted(path, old[path], before, version, "version")
                    for path in notebooks(root)}


def release(version: str, root: Path = ROOT) -> str:
    """Write the version everywhere, or nowhere if something is wrong; what is left to do, as text."""
    refuse_version(version, root)
    target, branch = remote(root), git(root, "branch", "--show-current")
    if not branch:
        raise ValueError("this clone is on no branch: git switch main")
    refuse_state(root)
    texts = new_texts(version, root)
    replace_all(texts)
    return NEXT.format(version=version, files=len(texts), remote=target, branch=branch)


if __name__ == "__main__":
    try:
        print(release(sys.argv[1]))
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
