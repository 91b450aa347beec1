"""The built book, looked at in a real browser: light, dark, and on a phone."""

import re
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

import vaerec

ROOT = Path(__file__).parents[2]
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
CONTENTS = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [CONTENTS["root"]] + [
    chapter["file"] for part in CONTENTS["parts"] for chapter in part["chapters"]]


def points_at(site: Path, slug: str) -> None:
    """Each button of each chapter, and the notebook that it opens, lead to one repository."""
    for name in (page for page in PAGES if page.startswith("notebooks/")):
        chapter, blob = (site / f"{name}.html").read_text(), f"{slug}/blob/main/{name}.ipynb"
        assert f"https://colab.research.google.com/github/{blob}" in chapter
        assert f"https://kaggle.com/kernels/welcome?src=https://github.com/{blob}" in chapter
        assert "executablebooks/jupyter-book" not in chapter
        assert f'PACKAGE = "https://github.com/{slug}", "v{vaerec.__version__}", "vaerec' in BeautifulSoup(
            chapter, "html.parser").get_text()
    owner, _, name = slug.partition("/")
    assert f"https://{owner.lower()}.github.io/{name}/" in (site / "book" / "intro.html").read_text()
    running = BeautifulSoup((site / "book" / "running.html").read_text(), "html.parser").get_text()
    assert f"vaerec[cli] @ git+https://github.com/{slug}@v{vaerec.__version__}" in running


# Paragraphs that show a formula's marks: code may hold a dollar, text may not.
SOURCE_LEFT = """paragraphs => paragraphs.map(p => {
  const copy = p.cloneNode(true);
  copy.querySelectorAll("code, mjx-container").forEach(part => part.remove());
  return copy.textContent;
}).filter(text => text.includes("$"))"""


@pytest.fixture(params=[(1280, "light"), (1280, "dark"), (390, "light")],
                ids=["light", "dark", "phone"], scope="module")
def screen(request, browser):
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    yield context
    context.close()


@pytest.mark.parametrize("name", [pytest.param(PAGES[0], marks=pytest.mark.smoke), *PAGES[1:]])
def test_a_page_is_whole(name, screen, address):
    page = screen.new_page()
    errors, foreign = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: message.type == "error" and errors.append(message.text))
    page.on("request", lambda request: request.url.startswith((address, "data:"))
            or foreign.append(request.url))
    page.goto(f"{address}/{name}.html", wait_until="networkidle")
    assert errors == []
    assert foreign == []
    # The window scrolls down and not aside.
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert page.locator("h1:visible").count() == 1
    assert page.locator(".bd-header:visible, header.bd-header:visible").count() == 0
    assert page.locator(".search-button__wrapper.show").count() == 0
    for image in page.locator(".bd-article img").all():
        assert image.get_attribute("alt"), image.get_attribute("src")
        assert image.evaluate("i => i.complete && i.naturalWidth > 0"), image.get_attribute("src")
    # No formula is left as its source, and none holds an error.
    assert page.locator(".bd-article .math:not(:has(mjx-container)), mjx-merror").count() == 0
    assert page.locator(".bd-article p").evaluate_all(SOURCE_LEFT) == []
    body = page.locator(".bd-article").inner_text()
    assert not re.search(r"\\(frac|sum|mathrm|begin)\b", body)
    assert barriers(page) == []
    page.close()


def barriers(page) -> list[str]:
    """What axe-core calls a serious or critical barrier for some readers."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found
            if one["impact"] in ("serious", "critical") for node in one["nodes"][:3]]


def test_formulas_are_typeset_without_a_network(screen, address):
    page = screen.new_page()
    page.goto(f"{address}/book/notation.html", wait_until="networkidle")
    assert page.locator("mjx-container").count() > 10
    page.close()


def test_dark_is_dark(screen, address):
    page = screen.new_page()
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    page.goto(f"{address}/book/intro.html", wait_until="networkidle")
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", colour)[:3])) < 100) == dark
    page.close()


def test_the_front_page_leads_to_the_introduction(site):
    assert "book/intro.html" in (site / "index.html").read_text()


def test_the_buttons_and_the_first_cells_point_at_the_fork(site):
    points_at(site, "reader/fork")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_light_to_load(name, site):
    page = site / f"{name}.html"
    sources = set(re.findall(r'<img[^>]*src="([^":]+)"', page.read_text()))
    images = [page.parent / source for source in sources]
    assert sum(file.stat().st_size for file in (page, *images)) < 1_500_000
