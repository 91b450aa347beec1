"""The book's Sphinx extension: the repository's address, a Kaggle button, generated tables, small repairs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import quote, urlsplit

import yaml

EXTENSIONS = Path(__file__).resolve().parent
sys.path[:0] = [str(EXTENSIONS), *(str(EXTENSIONS.parents[1] / name) for name in ("notebooks", "benchmarks"))]
import repository as of_notebooks  # noqa: E402 - scripts of this repository
import results  # noqa: E402
import run  # noqa: E402
from exercise_list import show_exercises  # noqa: E402
from teaching import show_teaching  # noqa: E402

NO_BUTTONS = ("**The notebooks of this copy do not name its repository, so there are no such buttons.** "
              "`make repository URL={url}` writes its address into them.")
FROM_THE_TAG = 'pip install "vaerec[cli] @ git+{address}@v{version}"'
FROM_A_CLONE = 'pip install ".[cli]"   # in a clone of the repository'


def repository(root: Path) -> str:
    """Return the repository's address, or "" while it has none.

    CI's own repository comes first, so that a fork's published book points at the fork.
    """
    slug = os.environ.get("GITHUB_REPOSITORY", "").strip("/")
    if slug.count("/") == 1:
        server = os.environ.get("GITHUB_SERVER_URL", "https://github.com").rstrip("/")
        return f"{server}/{slug}"
    return of_notebooks.address(root).rstrip("/")


def notebooks_name_it(root: Path) -> bool:
    """Whether a notebook that is opened alone, in Colab or Kaggle, installs from this repository.

    A fork's book knows its address from CI, its notebooks only from ``make repository``.
    """
    return repository(root).lower() == of_notebooks.address(root).rstrip("/").lower() != ""


def published_at(address: str) -> str:
    """Return the address of the GitHub Pages site of a repository, or ""."""
    owner, _, name = urlsplit(address).path.strip("/").partition("/")
    return f"https://{owner.lower()}.github.io/{name}/" if name else ""


def set_repository(app, config):
    """Point every button and every absolute link at the repository, or leave them out."""
    options = config.html_theme_options
    address = repository(Path(app.confdir))
    site = published_at(address)
    if site:
        config.html_baseurl = config.ogp_site_url = site
    # A page for lost readers is shown at any depth, so its links start at the site's root.
    config.notfound_urls_prefix = urlsplit(site).path or "/"
    if address:
        options["repository_url"] = address
        options["repository_branch"] = os.environ.get("VAEREC_BOOK_BRANCH", "main")
    for name in ("repository", "issues", "edit_page"):  # the theme fails on them without an address
        options[f"use_{name}_button"] = bool(address)
    if not notebooks_name_it(Path(app.confdir)):
        options["launch_buttons"] = {}


def add_kaggle_button(app, pagename, templatename, context, doctree):
    """Put Kaggle beside Colab in the launch menu: the theme does not know it."""
    options = app.config.html_theme_options
    source = str(app.env.doc2path(pagename, base=False)) if doctree is not None else ""
    if not source.endswith(".ipynb") or not options.get("repository_url"):
        return
    blob = f"{options['repository_url']}/blob/{options['repository_branch']}/{quote(source)}"
    button = {
        "type": "link", "text": "Kaggle", "tooltip": "Open in Kaggle", "icon": "fab fa-kaggle",
        "url": f"https://kaggle.com/kernels/welcome?src={blob}", "label": "launch-kaggle",
    }
    for group in context.get("header_buttons", []):
        if group.get("label") == "launch-buttons":
            group["buttons"].append(button)


def drop_thebe_scripts(app, pagename, templatename, context, doctree):
    """Leave out sphinx-thebe's scripts: they declare a constant twice, an error on every page."""
    if context.get("use_thebe"):
        return
    context["script_files"] = [
        script for script in context.get("script_files", [])
        if "sphinx-thebe.js" not in str(getattr(script, "filename", ""))
        and "THEBE_JS_URL" not in str(getattr(script, "attributes", {}).get("body", ""))
    ]


def drop_wrong_role(app, pagename, templatename, context, doctree):
    """Call the bibliography no list: its entries are no list items, which confuses screen readers."""
    if "body" in context:
        context["body"] = context["body"].replace('<div role="list" class="citation-list">',
                                                  '<div class="citation-list">')


def show_status(app, docname, source):
    """Replace the mark on the status page by one row a notebook: what ran, where, how long."""
    if docname != "book/status":
        return
    rows = ["| notebook | profile | run on | minutes | device | data | package |",
            "|---|---|---|---|---|---|---|"]
    for stem in run.chapters():
        notebook = run.read(stem)
        if "vaerec" not in notebook.metadata:
            raise ValueError(f"{stem} was not run yet: make notebooks PROFILE=full ONLY={stem}")
        values = run.recorded(notebook)
        made = notebook.metadata["vaerec"]
        package = "this one" if run.is_fresh(notebook) else "older"
        rows.append(f"| [{stem}](../notebooks/{stem}.ipynb) | {made['profile']} | {made.get('date', '-')} "
                    f"| {values['seconds'] / 60:.1f} "
                    f"| {values['device']} | {values['data']} | {package} |")
    source[0] = source[0].replace("<!-- status -->", "\n".join(rows))


def show_results(app, docname, source):
    """Replace the mark on the page of results by its tables, from what the notebooks recorded."""
    if docname == "book/results":
        source[0] = source[0].replace("<!-- results -->", results.page())


def cited(root: Path) -> dict:
    """What CITATION.cff says."""
    return yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))


def citation(root: Path, address: str) -> str:
    """BibTeX entry of the book, from CITATION.cff."""
    cff = cited(root)
    authors = " and ".join(f"{{{author['name']}}}" for author in cff["authors"])
    fields = {"author": authors, "title": f"{{{cff['title']}}}", "year": str(cff["date-released"])[:4],
              "version": cff["version"], "url": address}
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
    return "@software{vaerec,\n" + ",\n".join(lines) + "\n}"


def show_citation(app, docname, source):
    """Replace the mark in the introduction by the entry."""
    if docname == "book/intro":
        entry = citation(Path(app.confdir), repository(Path(app.confdir)))
        source[0] = source[0].replace("<!-- citation -->", f"```bibtex\n{entry}\n```")


def explain_missing_buttons(app, docname, source):
    """Say why there are none, and which step is missing."""
    if docname == "book/running":
        root = Path(app.confdir)
        url = repository(root) or "https://github.com/you/name"
        text = "" if notebooks_name_it(root) else NO_BUTTONS.format(url=url)
        source[0] = source[0].replace("<!-- no repository -->", text)


def show_installation(app, docname, source):
    """Replace the mark by a command that works in this copy: the tag's, or that of a clone."""
    if docname == "book/running":
        root = Path(app.confdir)
        address, command = repository(root), FROM_A_CLONE
        if notebooks_name_it(root):
            command = FROM_THE_TAG.format(address=address, version=cited(root)["version"])
        source[0] = source[0].replace("<!-- installation -->", f"```bash\n{command}\n```")


def setup(app):
    """Connect the functions above; their priorities place them around the theme's own."""
    app.connect("source-read", show_status)
    app.connect("source-read", show_results)
    app.connect("source-read", show_exercises)
    app.connect("source-read", show_teaching)
    app.connect("source-read", show_citation)
    app.connect("source-read", explain_missing_buttons)
    app.connect("source-read", show_installation)
    app.connect("config-inited", set_repository, priority=400)
    app.connect("html-page-context", add_kaggle_button, priority=600)
    app.connect("html-page-context", drop_thebe_scripts, priority=900)
    app.connect("html-page-context", drop_wrong_role)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
