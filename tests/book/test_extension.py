"""Where the book's buttons point."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def extension():
    spec = importlib.util.spec_from_file_location("vaerec_book", ROOT / "book/_ext/vaerec_book.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    monkeypatch.delenv("GITHUB_SERVER_URL", raising=False)
    (tmp_path / "pyproject.toml").write_text('[tool.vaerec]\nrepository = "https://host.org/a/b/"\n')
    return tmp_path


def test_the_address_stands_in_one_file(extension, project):
    assert extension.repository(project) == "https://host.org/a/b"


def test_a_fork_points_at_itself(extension, project, monkeypatch):
    monkeypatch.setenv("GITHUB_REPOSITORY", "reader/fork")
    assert extension.repository(project) == "https://github.com/reader/fork"


@pytest.mark.parametrize("written, ci, missing", [
    ("https://host.org/a/b", "", ""),
    ("https://github.com/reader/fork", "Reader/fork", ""),  # GitHub's names have no case
    ("", "", "https://github.com/you/name"),
    ("", "reader/fork", "https://github.com/reader/fork"),
    ("https://github.com/before/it-was-forked", "reader/fork", "https://github.com/reader/fork")])
def test_without_its_address_in_the_notebooks_a_book_has_no_buttons_and_says_why(
        extension, project, monkeypatch, written, ci, missing):
    monkeypatch.setenv("GITHUB_REPOSITORY", ci)
    (project / "pyproject.toml").write_text(f'[tool.vaerec]\nrepository = "{written}"\n')
    (project / "CITATION.cff").write_text("version: 0.2.0\n")
    options = {"launch_buttons": {"colab_url": "https://colab.research.google.com"}}
    app = SimpleNamespace(confdir=project)
    extension.set_repository(app, SimpleNamespace(html_theme_options=options))
    assert (options["launch_buttons"] == {}) == bool(missing)
    assert options["use_repository_button"] == bool(written or ci)
    source = ["<!-- no repository --><!-- installation -->"]
    extension.explain_missing_buttons(app, "book/running", source)
    extension.show_installation(app, "book/running", source)
    assert (f"make repository URL={missing}`" in source[0]) == bool(missing)
    assert (f"git+{written or '-'}@v0.2.0" in source[0].replace("Reader", "reader")) != bool(missing)
    assert ('".[cli]"' in source[0]) == bool(missing) and "<!--" not in source[0]


def test_the_site_of_a_repository(extension):
    assert extension.published_at("https://github.com/Reader/fork") == "https://reader.github.io/fork/"
    assert extension.published_at("") == ""


def test_the_entry_to_cite_is_that_of_the_citation_file(extension):
    entry = extension.citation(ROOT, "https://host.org/a/b")
    assert entry.startswith("@software{vaerec,") and entry.endswith("}")
    for line in ("author = {{The vaerec authors}}", "title = {{Variational autoencoders for recommendation}}",
                 "year = {2026}", "url = {https://host.org/a/b}"):
        assert f"  {line}" in entry
    assert "url" not in extension.citation(ROOT, "")


def test_the_introduction_shows_the_entry(site):
    text = BeautifulSoup((site / "book" / "intro.html").read_text(), "html.parser").get_text()
    assert "@software{vaerec" in text
