"""NDCG by hand: its metrics are the package's, and hits can be moved by keys, pointer and touch."""

import numpy as np
import pytest
import torch
from widget_page import WidgetPage

import vaerec as vr
from vaerec.protocols import HeldOut

PAGE = "notebooks/02-ranking-metrics-and-baselines"
TOLERANCE = 1e-9


@pytest.fixture
def widget(request, browser, address):
    page = WidgetPage(browser, address, PAGE, "ndcg-by-hand", getattr(request, "param", "light")).ready()
    yield page
    page.close()


class AsRanked(vr.models.TopNRecommender):
    """Scores films by their place in one ranking."""

    def score_batch(self, histories, users=None):
        return torch.arange(self.n_items, 0, -1.0).expand(len(histories), -1)


def expected(ranking: str, k: int, masked: bool) -> list[float]:
    """NDCG and both recalls of the package, for one user."""
    seen, targets = ([i for i, sign in enumerate(ranking) if sign == wanted] for wanted in "sH")
    # One more film, ranked last and seen: who has seen nothing gets the popular films instead.
    n_items = len(ranking) + 1
    held_out = HeldOut(np.array(["u"]), [np.array([*seen, n_items - 1])], [np.array(targets)],
                       np.ones(n_items), 1)
    row = vr.evaluate(AsRanked(n_items), held_out, ks=(k,), mask=masked).per_user.iloc[0]
    return [row[f"ndcg@{k}"], row[f"recall@{k}"], row[f"recall_all@{k}"]]


def check(shown: dict):
    ranking = "".join(film[1] for film in shown["films"].split())
    values = [shown["ndcg"], shown["recall"], shown["recallAll"]]
    assert values == pytest.approx(expected(ranking, shown["k"], shown["masked"]), abs=TOLERANCE)
    return shown


def test_the_numbers_are_the_package_s_on_random_rankings(widget):
    generator = np.random.default_rng(0)
    for _ in range(60):
        ranking = "".join(generator.choice(list("Hs.."), 10))
        k, masked = int(generator.integers(1, 11)), bool(generator.integers(2))
        if "H" not in ranking or k > 10 - ranking.count("s"):
            continue
        ours = widget.page.evaluate("""([text, k, masked]) => {
          const {judge, ranking} = vaerecWidgets.registered['ndcg-by-hand'];
          const now = judge(ranking(text), k, masked);
          return [now.ndcg, now.recall, now.recallAll];
        }""", [ranking, k, masked])
        assert ours == pytest.approx(expected(ranking, k, masked), abs=TOLERANCE), (ranking, k, masked)


def test_five_tasks_by_keyboard(widget):
    assert check(widget.shown())["ndcg"] == pytest.approx(0.397, abs=5e-4)  # list B of the chapter
    widget.press("button.film", *["ArrowRight"] * 2)  # 1: film A goes down, so the hit B goes up
    better = check(widget.shown())
    assert better["films"].startswith("BH") and better["ndcg"] > 0.397
    widget.press("#ndcg-films li:nth-child(8) button", *["ArrowLeft"] * 9)  # 2: the lowest hit to the top
    assert check(widget.shown())["films"].startswith("HH")
    widget.press("#ndcg-films li:nth-child(9) button", "Enter")  # 3: another film is hidden, too
    assert check(widget.shown())["n"] == 5
    widget.press("#ndcg-k", *["ArrowLeft"] * 2)  # 4: the recalls part when k < n
    shown = check(widget.shown())
    assert shown["k"] == 3 and shown["recall"] > shown["recallAll"]
    widget.press(".buttons button:nth-child(3)", "Enter")  # 5: seen films on top, mask off
    masked = check(widget.shown())
    widget.press("#ndcg-mask", "Space")
    assert check(widget.shown())["ndcg"] < masked["ndcg"]
    said = widget.said()
    assert f"NDCG at 5: {widget.shown()['ndcg']:.3f}" in said


@pytest.mark.parametrize("widget", ["phone"], indirect=True)
def test_tasks_by_touch_on_a_phone(widget):
    widget.figure.locator(".buttons button", has_text="Perfect").tap()
    assert check(widget.shown())["ndcg"] == 1
    widget.figure.locator("#ndcg-films li:nth-child(1) button").tap()  # no longer hidden
    assert check(widget.shown())["n"] == 3
    widget.figure.locator("#ndcg-mask").tap()
    assert check(widget.shown())["masked"] is False
    widget.check_form()


def test_a_film_is_dragged(widget):
    film = widget.figure.locator("button.film", has_text="●").first.bounding_box()
    first = widget.figure.locator("#ndcg-films li:nth-child(1)").bounding_box()
    mouse = widget.page.mouse
    mouse.move(film["x"] + film["width"] / 2, film["y"] + 10)
    mouse.down()
    mouse.move(first["x"] + first["width"] / 2, film["y"] + 10, steps=8)
    mouse.up()
    assert check(widget.shown())["films"].startswith("BH")


@pytest.mark.parametrize("widget", ["light", "dark"], indirect=True)
def test_its_form(widget):
    widget.check_form(tallest=600)
