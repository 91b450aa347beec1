"""What a reader does with the book: search, copy, turn the pages, follow links."""

from urllib.parse import unquote, urljoin, urlsplit

import pytest
import run
import yaml
from bs4 import BeautifulSoup

CONTENTS = yaml.safe_load((run.ROOT / "_toc.yml").read_text())
PAGES = [CONTENTS["root"], *(chapter["file"] for part in CONTENTS["parts"] for chapter in part["chapters"])]
CHAPTER = "notebooks/06-mvae"


@pytest.fixture(scope="module")
def soups(site) -> dict[str, BeautifulSoup]:
    """Each HTML file of the book, parsed, by its path."""
    return {path.relative_to(site).as_posix(): BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
            for path in site.rglob("*.html") if "_static" not in path.parts}


@pytest.fixture
def page(browser):
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    yield context.new_page()
    context.close()


def test_search_finds_posterior_collapse(page, address):
    foreign = []
    page.on("request", lambda request: request.url.startswith((address, "data:"))
            or foreign.append(request.url))
    page.goto(f"{address}/search.html?q=posterior+collapse")
    page.wait_for_selector("#search-results li a")
    found = [link.get_attribute("href") for link in page.locator("#search-results li a").all()]
    assert any("05-annealing-and-collapse" in link for link in found)
    assert foreign == []


def test_the_copy_button_copies_the_code(page, address):
    page.goto(f"{address}/{CHAPTER}.html", wait_until="networkidle")
    block = page.locator(".cell_input .highlight").filter(visible=True).first
    block.hover()
    block.locator("button.copybtn").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert len(copied) > 30 and copied.strip() == block.locator("pre").inner_text().strip()


def test_pages_follow_each_other_as_in_the_contents(soups):
    for name, before, after in zip(PAGES, [None, *PAGES], [*PAGES[1:], None], strict=False):
        area = soups[f"{name}.html"].find(class_="prev-next-area")
        for label, expected in (("left-prev", before), ("right-next", after)):
            link = area.find("a", class_=label) if area else None
            target = urljoin(f"{name}.html", link["href"]) if link else None
            assert target == (f"{expected}.html" if expected else None), (name, label)


def test_each_link_within_the_book_leads_somewhere(soups, site):
    names = {path: {tag["id"] for tag in soup.find_all(id=True)} for path, soup in soups.items()}
    dead = []
    for path, soup in soups.items():
        if path == "404.html":  # its links start at the published site's root
            continue
        for link in soup.find_all("a", href=True):
            href = urlsplit(link["href"])
            if href.scheme or href.netloc:
                continue
            target = unquote(urlsplit(urljoin(path, href.path)).path) if href.path else path
            anchor = unquote(href.fragment)
            if not (site / target).is_file() or (anchor and target in names and anchor not in names[target]):
                dead.append(f"{path}: {link['href']}")
    assert sorted(set(dead)) == []


def test_each_launch_button_names_a_notebook_that_exists(soups):
    for name in (page for page in PAGES if page.startswith("notebooks/")):
        launched = [link["href"] for link in soups[f"{name}.html"].find_all("a", href=True)
                    if "colab.research.google.com" in link["href"] or "kaggle.com" in link["href"]]
        assert len(launched) == 2 and all(url.endswith(f"{name}.ipynb") for url in launched)
        assert (run.ROOT / f"{name}.ipynb").exists()


def test_each_notebook_can_be_downloaded(soups, site):
    for name in (page for page in PAGES if page.startswith("notebooks/")):
        (button,) = soups[f"{name}.html"].select("a.btn-download-source-button")
        file = site / urljoin(f"{name}.html", button["href"])
        fork = site.parents[1] / "fork"  # whose address the notebooks carry
        assert file.read_bytes() == (fork / f"{name}.ipynb").read_bytes()


def test_each_figure_of_a_chapter_has_a_number_and_a_caption(soups):
    for name in (page for page in PAGES if page.startswith("notebooks/")):
        article = soups[f"{name}.html"].find("article")
        assert all(image.find_parent("figure") for image in article.find_all("img")), name
        for figure in article.select("figure:not(.widget)"):  # a widget is met once, and has no number
            assert figure.find(class_="caption-number"), name
            assert len(figure.find(class_="caption-text").get_text()) > 20, name
