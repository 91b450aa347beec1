"""The README's recipe for a copy of one's own, step by step: what a lecturer does before a course."""

import json
import re

import pytest
import yaml
from bs4 import BeautifulSoup

from tests.book.test_pages import PAGES, points_at
from tests.copies import ROOT, OwnCopy, build_book

RECIPE = (ROOT / "README.md").read_text(encoding="utf-8").partition("**A copy of your own**")[2]
TAG = re.search(r"git tag (v[\d.]+)", RECIPE)[1]
FIRST, SECOND = "prof-x/vae-course", "Prof.Y/recsys_2"
# All that look at the address or the version. What computes for long there does not look at them.
QUICK = ["tests/notebooks/test_repository.py", "tests/book/test_extension.py", "-k", "not introduction"]
SUITES = ["tests/notebooks/test_first_cell.py", "tests/notebooks/test_chapters.py",
          "tests/notebooks/test_new_chapter.py", "tests/notebooks/test_release.py",
          "tests/unit/test_project.py", "tests/process/test_workflows.py", *QUICK[:-1],
          "not introduction and not example_of_the_readme and not it_runs and not in_a_copy"]


def step(words: str, slug: str) -> str:
    """The one command of the recipe with these words, for this repository."""
    (found,) = re.findall(rf"`({words}[^`]*)`", RECIPE)
    return found.replace("https://github.com/you/name", f"https://github.com/{slug}")


def first_cells(copy: OwnCopy) -> list[str]:
    notebooks = [json.loads(path.read_text()) for path in sorted(copy.root.glob("notebooks/*.ipynb"))]
    return [next("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
            for notebook in notebooks]


def workflow_step(workflow: str, words: str) -> str:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / workflow).read_text())["jobs"]
    (found,) = (step["run"] for job in jobs.values() for step in job["steps"]
                if words in step.get("name", ""))
    return found


def follow(copy: OwnCopy) -> None:
    """Steps 2 to 4: the address, a commit that is pushed, and the tag from which the notebooks install."""
    copy.shell(step("make repository", copy.slug))
    assert all(f'"https://github.com/{copy.slug}", "{TAG}", ' in source for source in first_cells(copy))
    copy.commit("Our address")
    copy.git("push", "--quiet", "origin", "main")
    copy.shell(step("git tag", copy.slug))
    pushed = copy.git("ls-remote", "origin").split()
    assert f"refs/tags/{TAG}" in pushed and "refs/heads/main" in pushed
    # The workflow that the tag starts agrees, as it does not with another tag.
    check = workflow_step("release.yml", "version")
    copy.shell(f"git checkout --quiet {TAG}; GITHUB_REF_NAME={TAG}; {check}; git switch --quiet main")
    assert copy.run("bash", "-ec", f"GITHUB_REF_NAME=v99.0.0; {check}").returncode != 0


def test_a_copy_gets_its_address_and_its_tag_in_a_copy(tmp_path):
    copy = OwnCopy(tmp_path, FIRST)
    copy.shell("make repository URL=")
    missing = copy.shell(workflow_step("ci.yml", "name this repository"))
    assert f"notebooks do not name this repository: make repository URL=https://github.com/{FIRST}" in missing
    follow(copy)
    assert copy.shell(workflow_step("ci.yml", "name this repository")) == ""
    copy.passes(*QUICK)


@pytest.mark.slow
def test_every_suite_is_green_with_an_address_with_another_and_with_none_in_a_copy(tmp_path):
    copy = OwnCopy(tmp_path, FIRST)
    follow(copy)
    copy.passes(*SUITES)  # the pages with a first address are those of the fixture "site"
    for slug, url in ((SECOND, f"https://github.com/{SECOND}"), (FIRST, "")):
        copy.slug = slug
        copy.shell(f"make repository URL={url}")
        copy.passes(*SUITES)
        site = build_book(copy.root, tmp_path / f"site of {slug.partition('/')[0]}", slug)
        if url:
            points_at(site, slug)
        else:
            leads_nowhere(site)


def leads_nowhere(site) -> None:
    """No button opens a notebook that cannot install the package, and a page says which step is missing."""
    for name in (page for page in PAGES if page.startswith("notebooks/")):
        page = (site / f"{name}.html").read_text()
        assert "colab.research.google.com" not in page and "kaggle.com/kernels" not in page
        assert f"https://github.com/{FIRST}" in page  # the buttons to the repository stay
    running = BeautifulSoup((site / "book" / "running.html").read_text(), "html.parser").get_text()
    assert f"make repository URL=https://github.com/{FIRST}" in running and 'pip install ".[cli]"' in running


def test_an_address_that_is_none_changes_nothing_in_a_copy(tmp_path):
    copy = OwnCopy(tmp_path, FIRST)
    before = copy.texts()
    done = copy.run("make", 'URL=https://github.com/a/b"; touch hacked; "', "repository")
    assert done.returncode != 0 and "expected an address such as" in done.stderr
    assert copy.texts() == before and not (copy.root / "hacked").exists()
