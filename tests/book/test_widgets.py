"""What holds for every widget: it is whole, stands where it should, works anywhere, and gives up politely."""

import importlib.util
import json
import re
import sys
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import widgets  # noqa: E402 - the book's extension

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
EVERY = widgets.everything()
LIVE = [widget for widget in EVERY if widget.scripts]
named = {"ids": lambda widget: widget.name}
TRAINED = [widget for widget in LIVE if '"int8' in widgets.script_of(widget).replace("\\", "")]
LIMIT = 600_000  # bytes of a page's widgets


# -- the folders ---------------------------------------------------------------------------------

@pytest.mark.parametrize("widget", EVERY, **named)
def test_a_widget_is_whole(widget):
    assert widget.caption.count(". ") == 0 and widget.caption.endswith(".")
    assert len(widget.alt) > 40
    assert widget.still.stat().st_size < 150_000
    if widget.scripts:
        assert len(widget.tasks) == 5
    for file in (*widget.scripts, *widget.worker):
        text = (widget.folder / file).read_text(encoding="utf-8")
        assert text.startswith("//") and len(text.splitlines()) < 300, file


@pytest.mark.parametrize("widget", LIVE, **named)
def test_its_pages_hold_its_marker(widget):
    for page in widget.pages:
        path = next(ROOT.glob(f"{page}.*"))
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            text = "".join("".join(cell["source"]) for cell in json.loads(text)["cells"]
                           if cell["cell_type"] == "markdown")
        assert f"<!-- widget: {widget.name} -->" in text, page


@pytest.mark.parametrize("widget", LIVE, **named)
def test_no_script_asks_for_anything_else(widget):
    script = widgets.script_of(widget)
    assert not re.search(r"\bimport\b *[{*(]|https?://(?!www\.w3\.org)|fetch\(|XMLHttpRequest", script)
    assert len(script) + len(widgets.shared_script()) < LIMIT


def test_every_marker_names_a_widget():
    known = {widget.name for widget in LIVE}
    for path in (*ROOT.glob("book/*.md"), *ROOT.glob("notebooks/*.ipynb")):
        assert set(widgets.MARKER.findall(path.read_text(encoding="utf-8"))) <= known, path


def test_an_unknown_name_says_which_there_are():
    with pytest.raises(FileNotFoundError, match="pick-films"):
        widgets.read("nothing")


# -- the pages -----------------------------------------------------------------------------------

class Tab:
    """A page in a browser that notes what should not be: errors, and requests to anywhere else."""

    def __init__(self, browser, **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.problems = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda said: said.type == "error" and self.problems.append(said.text))

    def __enter__(self):
        return self.page

    def __exit__(self, *failure):
        self.context.close()
        assert failure[0] or self.problems == []


def figure(page, widget):
    return page.locator(f"#widget-{widget.name}")


def barriers(page, selector: str) -> list[str]:
    page.evaluate(AXE)
    found = page.evaluate("s => axe.run(s, {resultTypes: ['violations'], preload: false})", selector)
    return [f"{one['id']}: {node['html'][:200]}" for one in found["violations"] for node in one["nodes"][:3]]


@pytest.mark.parametrize("widget", LIVE, **named)
def test_it_works_from_a_disk_without_requests(browser, site, widget):
    with Tab(browser, viewport={"width": 1280, "height": 900}) as page:
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / f"{widget.pages[0]}.html").as_uri(), wait_until="load")
        assert figure(page, widget).get_attribute("data-ready") == "yes"
        assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}
        assert figure(page, widget).bounding_box()["height"] <= 600
        names = page.evaluate("Object.keys(window).filter(name => /vaerec/i.test(name))")
        assert names == ["vaerecWidgets"]


# Visible text below 14 pixels.
SMALL = """figure => [...figure.querySelectorAll("*")].filter(e =>
    e.checkVisibility() && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())
    && parseFloat(getComputedStyle(e).fontSize) < 14).map(e => e.outerHTML.slice(0, 100))"""


@pytest.mark.parametrize("scheme, width", [("light", 1280), ("dark", 1280), ("light", 390)])
@pytest.mark.parametrize("widget", LIVE, **named)
def test_nobody_is_kept_out(browser, address, widget, scheme, width):
    with Tab(browser, viewport={"width": width, "height": 900}, color_scheme=scheme, has_touch=width < 500,
             reduced_motion="reduce") as page:
        page.goto(f"{address}/{widget.pages[0]}.html", wait_until="load")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for selector in (*widget.pose, None):
            assert barriers(page, f"#widget-{widget.name}") == []
            if selector:
                figure(page, widget).locator(selector).first.click()
                page.wait_for_timeout(100)
        assert figure(page, widget).evaluate(SMALL) == []
        for part in figure(page, widget).locator("button:visible, input:visible").all():
            box = part.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= width, part.evaluate("e => e.outerHTML")
        said = figure(page, widget).locator("[aria-live=polite]")
        page.wait_for_timeout(700)
        assert len(said.inner_text()) > 20


@pytest.mark.parametrize("widget", LIVE, **named)
def test_it_fills_the_window_for_a_lecture(browser, address, widget):
    with Tab(browser, viewport={"width": 1280, "height": 800}) as page:
        page.goto(f"{address}/{widget.pages[0]}.html?present={widget.name}", wait_until="load")
        assert figure(page, widget).get_attribute("data-ready") == "yes"
        assert page.locator(".bd-article:visible, .bd-sidebar-primary:visible").count() == 0
        box = figure(page, widget).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 1280 and box["y"] + box["height"] <= 800
        assert max(box["width"] / 1280, box["height"] / 800) > 0.85
        page.keyboard.press("Escape")
        page.wait_for_url(lambda url: "present" not in url)
        page.locator(".bd-article").wait_for()


def test_a_bare_query_takes_the_first_widget(browser, address):
    with Tab(browser) as page:
        page.goto(f"{address}/book/intro.html?present", wait_until="load")
        assert page.locator("figure.widget.present").count() == 1


@pytest.mark.parametrize("widget", TRAINED, **named)
@pytest.mark.parametrize("damage, says", [("a byte", "checksum"), ("the end", "damaged")])
def test_a_damaged_file_says_so(browser, address, widget, damage, says):
    def spoil(route):
        script = widgets.script_of(widget)
        first = script.index('\\"int8\\"') + 40
        cut = script.index('}"')  # where the first file ends
        spoilt = {"a byte": script[:first] + ("A" if script[first] != "A" else "B") + script[first + 1:],
                  "the end": script[:cut] + script[cut + 1:]}[damage]
        route.fulfill(body=spoilt, content_type="text/javascript")

    with Tab(browser) as page:
        page.route(f"**/widgets/{widget.name}.js*", spoil)
        page.goto(f"{address}/{widget.pages[0]}.html", wait_until="load")
        alert = figure(page, widget).get_by_role("alert")
        assert says in alert.inner_text() and "still picture" in alert.inner_text()
        image = figure(page, widget).locator("img")
        assert image.evaluate("i => i.decode().then(() => i.naturalWidth)") > 500
        assert image.get_attribute("alt") == widget.alt


@pytest.mark.parametrize("widget", LIVE, **named)
def test_without_scripts_there_is_a_picture(browser, address, widget):
    with Tab(browser, java_script_enabled=False) as page:
        page.goto(f"{address}/{widget.pages[0]}.html", wait_until="load")
        image = figure(page, widget).locator("img")
        assert image.is_visible() and image.get_attribute("alt") == widget.alt
        assert image.bounding_box()["width"] > 300


def test_play_leads_to_every_widget(browser, address):
    with Tab(browser) as page:
        page.goto(f"{address}/book/play.html", wait_until="load")
        cards = page.locator(".sd-card")
        assert cards.count() == len(EVERY)
        for link in page.locator(".sd-card a").all():
            assert page.request.get(link.evaluate("a => a.href")).ok
        targets = {link.get_attribute("href") for link in page.locator(".sd-card a").all()}
        for widget in LIVE:
            assert {f"../{widget.pages[0]}.html#widget-{widget.name}", widgets.alone(widget)} <= targets


# -- elsewhere -----------------------------------------------------------------------------------

class App:
    """As much of Sphinx as the marker needs."""

    def __init__(self, builder: str):
        self.builder = SimpleNamespace(name=builder, format="html")


@pytest.mark.parametrize("builder", ["singlehtml", "epub"])
def test_a_book_in_one_file_has_the_picture_on_a_page_and_nothing_in_a_notebook(builder):
    widget = widgets.read("pick-films")
    page = widgets.shown(App(builder), widget, "book/intro", first=True)
    assert "<img" in page and "<script" not in page and widget.caption in page
    assert widgets.shown(App(builder), widget, "notebooks/06-mvae", first=True) == ""


def test_a_slide_links_to_the_widget():
    spec = importlib.util.spec_from_file_location("make_slides", ROOT / "book" / "make_slides.py")
    slides = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(slides)
    (_, text), = slides.blocks("<!-- widget: order -->")
    assert text == "**Live:** [Does order matter?](../notebooks/07-svae.html?present=order)"
