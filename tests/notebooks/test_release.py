"""A release, made in a copy: the version stands everywhere, or nothing has changed."""

import re
import subprocess
from datetime import UTC, datetime

import nbformat
import pytest
import release
import repository
import run
import yaml

import vaerec
from tests.copies import OwnCopy

SLUG = "prof-x/vae-course"
MAJOR, MINOR, PATCH = release.numbers(vaerec.__version__)
NEXT = f"{MAJOR}.{MINOR}.{PATCH + 1}"


def refresh(copy: OwnCopy) -> None:
    """Mark the notebooks as run in full with this package, which takes an hour and MovieLens otherwise."""
    for path in repository.notebooks(copy.root):
        notebook = nbformat.read(path, as_version=4)
        notebook.metadata["vaerec"] |= {"package_hash": run.package_hash(),
                                        "code_hash": run.code_hash(notebook)}
        nbformat.write(notebook, path)


@pytest.fixture(scope="module")
def fork(tmp_path_factory) -> OwnCopy:
    """A copy that could be released at once; each test leaves it so."""
    copy = OwnCopy(tmp_path_factory.mktemp("fork"), SLUG)
    repository.write(f"https://github.com/{SLUG}", copy.root)
    refresh(copy)
    log = copy.root / "CHANGELOG.md"
    log.write_text(log.read_text().replace("## Unreleased\n", "## Unreleased\n\n- A bug of week two.\n", 1))
    copy.commit("Ready")
    return copy


@pytest.fixture
def copy(fork):
    yield fork
    fork.shell("git switch --quiet --force main; git clean --quiet --force; "
               "git tag --list | xargs -r git tag -d")
    fork.git("remote", "set-url", "origin", str(fork.remote))
    subprocess.run(["git", "reset", "--quiet", "--hard", ":/Ready"], cwd=fork.root, check=True)


def made(copy: OwnCopy) -> list[str]:
    """The commands that are printed, when a bug of week two is mended as CONTRIBUTING says."""
    with (copy.root / "vaerec" / "exercises" / "judging.py").open("a") as module:
        module.write("\nMENDED = True\n")
    copy.commit("A better message to a wrong answer")
    steps = (copy.root / "CONTRIBUTING.md").read_text().partition("## A bug in week two")[2]
    (command,) = re.findall(r"`(make release VERSION=)[\d.]+`", steps.partition("\n## ")[0])
    return copy.shell(command + NEXT).splitlines()[1:]


def test_the_version_stands_everywhere_and_the_printed_lines_push_it_in_a_copy(copy):
    commands = made(copy)
    changed, after = copy.git("diff", "--name-only").splitlines(), copy.texts()
    assert set(changed) == {"vaerec/__init__.py", "CITATION.cff", "README.md", "CHANGELOG.md",
                       *(f"notebooks/{stem}.ipynb" for stem in run.chapters())}
    assert not any(f"v{vaerec.__version__}".encode() in text for name, text in after.items()
                   if name.startswith("notebooks/") or name == "README.md")
    today = datetime.now(UTC).date()
    cited = yaml.safe_load(after["CITATION.cff"])
    assert (cited["version"], cited["date-released"]) == (NEXT, today)
    assert f"## Unreleased\n\n## {NEXT} - {today}\n\n- A bug of week two.\n" in after["CHANGELOG.md"].decode()
    copy.shell("\n".join(commands))
    assert copy.git("status", "--porcelain") == ""
    pushed = dict(reversed(line.split()) for line in copy.git("ls-remote", "origin").splitlines())
    assert pushed[f"refs/tags/v{NEXT}"] == pushed["refs/heads/main"]


@pytest.mark.slow
def test_after_a_release_every_suite_that_looks_at_the_version_passes_in_a_copy(copy):
    from tests.process.test_own_copy import SUITES

    made(copy)
    copy.passes(*SUITES)


def test_a_release_makes_no_notebook_stale(copy, monkeypatch):
    monkeypatch.setattr(run, "ROOT", copy.root)
    release.release(NEXT, copy.root)
    assert [path.stem for path in repository.notebooks(copy.root)
            if not run.is_fresh(nbformat.read(path, as_version=4))] == []
    with (copy.root / "vaerec" / "elbo.py").open("a") as module:
        module.write("\nBUG = 1\n")
    assert not run.is_fresh(nbformat.read(repository.notebooks(copy.root)[0], as_version=4))


def test_the_first_release_takes_the_version_that_is_there(copy, monkeypatch):
    monkeypatch.setattr(run, "ROOT", copy.root)
    release.release(vaerec.__version__, copy.root)
    assert f"## {vaerec.__version__} - " in (copy.root / "CHANGELOG.md").read_text()


DETACHED, DIRTY = "git checkout --quiet --detach", "touch notes.txt"
STALE = "echo 'BUG = 1' >> vaerec/elbo.py; git commit --quiet --all --message bug"
NO_CHANGES = "sed -i '/^## Unreleased/q' CHANGELOG.md; git commit -qam no"
LOST = "sed -i s/^version:.*// CITATION.cff; git commit -qam lost"


@pytest.mark.parametrize("version, damage, told", [
    ("", "", "VERSION=: expected three numbers"), ("1.0", "", "expected three numbers"),
    ("v9.0.0", "", "expected three numbers"), ("9.0.01", "", "expected three numbers"),
    ("0.0.9", "", "do not go backwards"), (NEXT, "git tag v9.0.10", "9.0.10 came before"),
    (NEXT, f"git tag v{NEXT}", f"the tag v{NEXT} is there already"),
    (NEXT, DIRTY, r"not everything is committed, such as notes\.txt"),
    (NEXT, STALE, "changed after the last run of 14 notebooks"),
    (NEXT, NO_CHANGES, "nothing stands under"),
    (NEXT, DETACHED, "on no branch"),
    (NEXT, "sed -i '/^repository =/s/ .*/ = \"\"/' pyproject.toml", "make repository URL="),
    (NEXT, "git remote set-url origin https://github.com/someone/else", "git remote add origin"),
    (NEXT, LOST, r"CITATION\.cff names the version 0 times instead of once"),
])
def test_what_is_wrong_is_one_sentence_and_nothing_is_written(copy, monkeypatch, version, damage, told):
    copy.shell(damage)
    before = copy.texts()
    monkeypatch.setattr(run, "ROOT", copy.root)
    with pytest.raises(ValueError, match=told) as found:
        release.release(version, copy.root)
    assert "\n" not in str(found.value)
    assert copy.texts() == before and not list(copy.root.glob("**/*.new"))


def test_the_command_refuses_in_one_line(copy):
    done = copy.run("make", "release", 'VERSION=1"; touch hacked; "')
    (line,) = (line for line in done.stderr.splitlines() if not line.startswith("make:"))
    assert done.returncode != 0 and "expected three numbers, such as 0.1.1" in line
    assert copy.git("status", "--porcelain") == ""


def test_a_folder_without_git_gets_one_sentence(tmp_path):
    (tmp_path / "vaerec").mkdir()
    (tmp_path / "vaerec" / "__init__.py").write_text('"""."""\n__version__ = "0.1.0"\n')
    with pytest.raises(ValueError, match="^git tag: .*not a git repository"):
        release.release(NEXT, tmp_path)


@pytest.mark.parametrize("url", [f"git@github.com:{SLUG}.git", f"https://github.com/{SLUG.upper()}/",
                                 f"ssh://git@github.com/{SLUG}", f"git@work:{SLUG}"])
def test_the_remote_is_found_by_owner_and_name(copy, url):
    copy.git("remote", "add", "mine", url)
    try:
        assert release.remote(copy.root) in ("origin", "mine")
        copy.git("remote", "rename", "origin", "upstream")
        copy.git("remote", "set-url", "upstream", "https://github.com/an/other")
        assert release.remote(copy.root) == "mine"
    finally:
        copy.git("remote", "remove", "mine")
        copy.git("remote", "rename", "upstream", "origin")
        copy.git("remote", "set-url", "origin", str(copy.remote))
