"""Bound and gap on book/six-films: its numbers are the package's, and it works with the keyboard alone."""

import json
import math
import re
from pathlib import Path

import pytest
import torch
from scipy.optimize import minimize
from widget_page import WidgetPage

from vaerec.datasets import six_films
from vaerec.datasets.six_films import GRID, STEP, log_evidence, log_likelihood, log_normal, log_posterior
from vaerec.elbo import gaussian_kl

SCRIPT = Path(__file__).parents[2] / "book" / "widgets" / "bound-and-gap" / "model.js"
SETTLED = 2500  # milliseconds: longer than a movement and its announcement


def test_the_script_holds_the_package_s_parameters():
    world = json.loads(re.search(r"const WORLD = (\{.*?\});", SCRIPT.read_text(), re.DOTALL)[1])
    assert world == {
        "titles": list(six_films.TITLES), "slope": six_films.SLOPE.tolist(),
        "bias": six_films.BIAS.tolist(), "step": STEP, "limit": GRID[-1].item(),
    }
    torch.testing.assert_close(GRID.diff(), torch.full_like(GRID[1:], STEP), rtol=0, atol=0)


def exact(mu: float, sigma: float, history: list[int]) -> dict[str, float]:
    """What the page should show."""
    log_q = log_normal(GRID, mu, sigma)
    weight = log_q.exp() * STEP
    explained = (weight * log_likelihood(GRID, history)).sum().item()
    rate = gaussian_kl(torch.tensor([mu], dtype=torch.float64),
                       torch.tensor([2 * math.log(sigma)], dtype=torch.float64)).item()
    return {
        "explained": explained, "rate": rate, "elbo": explained - rate,
        "gap": (weight * (log_q - log_posterior(history))).sum().item(),
        "evidence": log_evidence(history).item(),
        "next": (weight @ six_films.log_probabilities(GRID).exp()).tolist(),
    }


on_every_screen = pytest.mark.parametrize("world", ["light", "dark", "phone"], indirect=True)


class World:
    """The page in a browser, with eyes for what a reader sees and a keyboard."""

    def __init__(self, widget):
        self.widget, self.page = widget, widget.page

    def shown(self) -> dict:
        return self.widget.shown("#six-films")

    def press(self, name: str, *keys: str):
        self.widget.press(f"#six-films-{name}", *keys)

    def drag(self, grip: str, by: float):
        """Move a grip of the curve by some pixels to the right."""
        box = self.page.locator(f"#six-films .grip.{grip}").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + by, y, steps=6)
        self.page.mouse.up()

    def check(self, history: list[int]) -> dict:
        """The page's numbers are the package's, and ELBO and gap add up."""
        shown = self.shown()
        expected = exact(shown["mu"], shown["sigma"], history)
        for name, value in expected.items():
            assert shown[name] == pytest.approx(value, abs=1e-9), name
        assert shown["elbo"] + shown["gap"] == pytest.approx(shown["evidence"], abs=1e-6)
        return shown


@pytest.fixture
def world(request, browser, address):
    """The page without motion, so that a key has its effect at once."""
    screen = getattr(request, "param", "light")
    widget = WidgetPage(browser, address, "book/six-films", "bound-and-gap", screen)
    yield World(widget.ready())
    widget.close()


def test_it_starts_at_the_prior_with_ben(world):
    shown = world.check([4, 5])
    assert (shown["mu"], shown["sigma"], shown["rate"]) == (0, 1, 0)
    assert shown["gap"] > 1


@on_every_screen
def test_the_keyboard_moves_q_and_never_the_sum(world):
    before = world.check([4, 5])
    world.press("mu", *["ArrowRight"] * 12)
    moved = world.check([4, 5])
    assert moved["mu"] == pytest.approx(0.12)
    world.press("sigma", *["ArrowLeft"] * 30)
    narrowed = world.check([4, 5])
    assert narrowed["sigma"] == pytest.approx(0.7)
    assert narrowed["gap"] < moved["gap"] < before["gap"]
    assert narrowed["evidence"] == before["evidence"]
    for end in ("Home", "End"):  # the numbers hold at the ends of the sliders, too
        world.press("mu", end)
        world.check([4, 5])
        world.press("sigma", end)
        world.check([4, 5])
    world.widget.check_form(tallest=600 if world.page.viewport_size["width"] == 1280 else None)


def test_the_buttons_find_the_best_q_and_change_its_width(world):
    world.press("best", "Enter")
    best = world.check([4, 5])

    def loss(v):
        return -exact(float(v[0]), math.exp(v[1]), [4, 5])["elbo"]

    found = minimize(loss, [0.0, 0.0])
    assert best["elbo"] == pytest.approx(-found.fun, abs=1e-8)
    assert best["mu"] == pytest.approx(found.x[0], abs=1e-4)
    world.press("narrow", "Enter")
    narrow = world.check([4, 5])
    assert narrow["sigma"] == pytest.approx(best["sigma"] / 2)
    world.press("prior", "Space")
    assert world.check([4, 5])["rate"] == 0
    world.press("best", "Enter")
    world.press("wide", "Enter")
    wide = world.check([4, 5])
    assert wide["sigma"] == pytest.approx(best["sigma"] * 2)
    assert best["gap"] < narrow["gap"] < wide["gap"]


def test_ticking_films_changes_the_history(world):
    world.press("film-0", "Space")
    world.check([0, 4, 5])
    world.press("film-4", "Space")
    one = world.check([0, 5])
    world.press("times", "ArrowRight", "ArrowRight")
    three = world.check([0, 5] * 3)
    assert three["evidence"] < one["evidence"]
    world.press("times", "End")
    world.check([0, 5] * 20)


def test_without_films_the_prior_has_no_gap(world):
    world.press("film-4", "Space")
    world.press("film-5", "Space")
    shown = world.check([])
    assert shown["gap"] == pytest.approx(0, abs=1e-12)
    assert shown["evidence"] == pytest.approx(0, abs=1e-12)


def test_the_numbers_are_said_aloud(world):
    summary = world.page.locator("#six-films-summary")
    assert summary.get_attribute("aria-live") == "polite"
    world.press("best", "Enter")
    world.page.wait_for_timeout(SETTLED)
    shown = world.shown()
    said = summary.inner_text().replace("−", "-")
    assert said.startswith(f"ELBO {shown['elbo']:.3f} + gap {shown['gap']:.3f} = "
                           f"log p(x) {shown['evidence']:.3f} nats.")
    in_bar = world.page.locator("#six-films-bar").text_content().replace("−", "-")
    for name, value in (("gap", shown["gap"]), ("rate", shown["rate"]), ("distortion", -shown["explained"])):
        assert f"{name} {value:.3f}" in in_bar


def test_the_curve_itself_is_dragged(world):
    world.drag("top", 60)
    moved = world.check([4, 5])
    assert moved["mu"] > 0.3 and moved["sigma"] == 1
    world.drag("right", -30)
    narrowed = world.check([4, 5])
    assert narrowed["mu"] == moved["mu"] and narrowed["sigma"] < 0.9
    world.drag("left", -30)  # away from the mean: wider again
    assert world.check([4, 5])["sigma"] > narrowed["sigma"]
    assert narrowed["evidence"] == moved["evidence"]


def length(bars, name: str) -> float:
    return float(bars.locator(f".{name}").get_attribute("width"))


def test_the_two_bars_are_equally_long_and_one_part_stands_still(world):
    bars = world.page.locator("#six-films-bar")
    before = length(bars, "surprise")
    for key in ("best", "narrow", "wide"):
        world.press(key, "Enter")
        costs = length(bars, "distortion") + length(bars, "rate")
        assert costs == pytest.approx(length(bars, "surprise") + length(bars, "gap"), abs=1e-3)
        assert length(bars, "surprise") == pytest.approx(before, abs=1e-3)


@on_every_screen
def test_every_control_has_a_name_and_can_be_read(world):
    for control in world.page.locator("#six-films input").all():
        assert control.evaluate("i => i.labels.length && i.labels[0].textContent.trim()")
        assert control.is_visible()
    assert world.page.locator("#six-films input[type=checkbox]").count() == 6
    for svg in world.page.locator("#six-films svg").all():
        assert svg.get_attribute("role") == "img"
        title = svg.get_attribute("aria-labelledby")
        assert len(world.page.locator(f"#{title}").text_content()) > 20
    # Every text and curve stands out from the ground by a contrast of at least 3, text by 4.5.
    for selector, prop, least in (
            (".percent", "color", 4.5), ("svg text", "fill", 4.5), (".prior", "stroke", 3),
            (".posterior", "stroke", 3), (".q", "stroke", 3), (".gap", "stroke", 3),
            (".distortion", "fill", 3)):
        element = world.page.locator(f"#six-films {selector}").first
        colour = element.evaluate(f"e => getComputedStyle(e).{prop}")
        ground = world.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert contrast(colour, ground) >= least, (selector, colour, ground)


def contrast(one: str, other: str) -> float:
    """WCAG's ratio of two CSS colours."""
    def luminance(colour):
        channels = [int(c) / 255 for c in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.fixture
def lively(browser, address):
    widget = WidgetPage(browser, address, "book/six-films", "bound-and-gap", reduced_motion="no-preference")
    yield World(widget.ready())
    widget.close()


def test_motion_ends_where_it_should_and_gives_way_to_a_key(lively):
    lively.press("best", "Enter")
    lively.page.wait_for_timeout(SETTLED)
    best = lively.check([4, 5])
    assert best["gap"] < 0.02
    lively.press("prior", "Enter")
    lively.press("mu", "ArrowRight")  # while q may still be on its way
    here = lively.shown()
    lively.page.wait_for_timeout(SETTLED)
    assert lively.shown() == here
    lively.check([4, 5])


@pytest.mark.parametrize("world", ["phone"], indirect=True)
def test_tasks_by_touch_on_a_phone(world):
    world.page.locator("#six-films-best").tap()
    assert world.check([4, 5])["gap"] < 0.02
    world.page.locator("#six-films-film-0").tap()
    world.check([0, 4, 5])
    world.page.locator("#six-films-prior").tap()
    assert world.check([0, 4, 5])["rate"] == 0


def test_it_stands_in_chapter_4_too(browser, address):
    widget = WidgetPage(browser, address, "notebooks/04-the-elbo", "bound-and-gap").ready()
    assert World(widget).check([4, 5])["rate"] == 0
    widget.close()


def test_without_javascript_there_is_a_picture(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/book/six-films.html")
    picture = page.locator("#widget-bound-and-gap img")
    assert picture.is_visible() and "grips" in picture.get_attribute("alt")
    context.close()
