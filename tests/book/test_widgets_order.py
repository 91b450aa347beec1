"""Does order matter? The widget's GRU is PyTorch's, its lists are the package's, and strangers can use it."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import vaerec as vr

WIDGETS = Path(__file__).parents[2] / "book" / "widgets"
TOLERANCE = 1e-9  # both sides in double precision, with the same float32 weights


def load(name: str):
    spec = importlib.util.spec_from_file_location(f"make_{name}", WIDGETS / name / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def make():
    return load("order")


@pytest.fixture(scope="module")
def split(make):
    return make.split()


@pytest.fixture(scope="module")
def kept():
    return json.loads((WIDGETS / "order" / "svae.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def films():
    return json.loads((WIDGETS / "pick-films" / "films.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def models(make, split, kept):
    """The package's models with the weights that the browser reads, in double precision."""
    svae = make.with_weights(make.model(split.n_items), make.weights.unpacked(kept))
    bags = load("pick-films")
    tensors = bags.weights.unpacked(json.loads((WIDGETS / "pick-films" / "mvae-16.json").read_text()))
    mvae = bags.with_weights(bags.untrained(split.n_items, 16), tensors)
    return {"sequence": svae.double().eval(), "bag": mvae.double().eval()}


def test_one_byte_a_number_ranks_as_well(models, split, kept):
    ndcg = vr.evaluate(models["sequence"].float(), split.test)["ndcg@100"]
    models["sequence"].double()
    assert ndcg == pytest.approx(kept["ndcg"]["int8"], abs=1e-4)
    assert abs(ndcg - kept["ndcg"]["float32"]) < 0.002


@pytest.mark.slow
def test_the_script_trains_this(make, split, kept):
    svae = make.model(split.n_items)
    vr.fit(svae, split, max_epochs=make.EPOCHS, seed=make.SEED)
    assert vr.evaluate(svae, split.test)["ndcg@100"] == pytest.approx(kept["ndcg"]["float32"], abs=0.01)


# -- the page ------------------------------------------------------------------------------------

@pytest.fixture(params=["keyboard", "touch"], scope="module")
def page(request, browser, address):
    touch = request.param == "touch"
    context = browser.new_context(viewport={"width": 390 if touch else 1280, "height": 844}, has_touch=touch,
                                  reduced_motion="reduce")
    page = context.new_page()
    page.touch = touch
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"{address}/notebooks/07-svae.html", wait_until="load")
    page.locator("#widget-order[data-ready]").wait_for()
    yield page
    assert problems == []
    context.close()


@pytest.fixture(autouse=True)
def ada(page):
    """Her own order, all films."""
    page.evaluate("""() => {
        const {state, draw} = vaerecWidgets.running.order;
        state.restore(); state.seen = state.truth.length; state.shuffles = 0; draw();
    }""")


def shown(page) -> dict:
    """What a reader sees."""
    part = page.locator("#widget-order")
    return {"order": page.evaluate("[...vaerecWidgets.running.order.state.order]"),
            "seen": int(part.locator(".seen label").inner_text().split()[2]),
            **{model: part.locator(f".{model} .entry").evaluate_all("rows => rows.map(row => row.title)")
               for model in ("bag", "sequence")},
            "kept": [int(text.split()[0]) for text in part.locator(".kept strong").all_inner_texts()],
            "made": part.locator(".made").all_inner_texts(),
            "told": part.locator(".told").inner_text()}


def expected(models, films, history) -> dict[str, list[str]]:
    """The package's lists."""
    lists = {}
    for name, model in models.items():
        scores = model.scores([history])[0]
        scores[history] = -torch.inf
        lists[name] = scores.topk(10).indices.tolist()
    return lists


def check(page, models, films):
    """The page shows the package's lists, and counts rightly what is as in the true order."""
    now, ada = shown(page), films["users"][0]["films"]
    lists = expected(models, films, now["order"][:now["seen"]])
    before = expected(models, films, ada[:now["seen"]])
    for place, name in enumerate(("bag", "sequence")):
        assert now[name] == [films["titles"][film] for film in lists[name]]
        assert now["kept"][place] == len(set(lists[name]) & set(before[name]))
        genres = [films["genres"][films["genre"][film]] for film in lists[name]]
        most = max(set(genres), key=genres.count)
        assert f"{genres.count(most)} {most}" in now["made"][place]
    return now


@pytest.mark.parametrize("name", ["sequence", "bag"])
def test_scores_are_the_package_s(page, models, name):
    chance = np.random.default_rng(7)
    histories = [chance.permutation(models[name].n_items)[:n] for n in (1, 2, 9, 40, 120)]
    scores = models[name].scores(histories)
    for row, history in enumerate(histories):
        found = page.evaluate("""([name, films]) => {
            const {scoresInOrder, scoresOfBag} = vaerecWidgets.registered.order;
            const {bag, sequence} = vaerecWidgets.running.order.state;
            return [...(name === "bag" ? scoresOfBag(bag, films) : scoresInOrder(sequence, films))];
        }""", [name, history.tolist()])
        np.testing.assert_allclose(found, scores[row], atol=TOLERANCE)


def press(page, locator):
    """Tap it; or reach it by Tab alone, from the widget's first control, and press Enter."""
    if page.touch:
        locator.tap()
    else:
        reach(page, locator)
        page.keyboard.press("Enter")
    page.wait_for_timeout(60)


def reach(page, locator):
    page.locator("#widget-order button").first.focus()
    for _ in range(60):
        if locator.evaluate("node => node === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"no way by Tab to {locator}")


def test_a_stranger_can_do_five_things(page, models, films):
    part, ada = page.locator("#widget-order"), films["users"][0]["films"]
    tiles = part.locator(".tile")
    start = check(page, models, films)
    assert start["order"] == ada and start["kept"] == [10, 10]
    # 1. Shuffle: one list stands still.
    press(page, part.get_by_role("button", name="Shuffle"))
    now = check(page, models, films)
    assert sorted(now["order"]) == sorted(ada) and now["order"] != ada
    assert now["bag"] == start["bag"] and now["kept"][0] == 10 and now["kept"][1] < 8
    # 2. Back to the true order, and backwards: her comedies are the newest now.
    press(page, part.get_by_role("button", name="True order"))
    press(page, part.get_by_role("button", name="Reverse"))
    now = check(page, models, films)
    assert now["order"] == ada[::-1] and "Noir" in start["made"][1] and now["made"][1].endswith("Comedy")
    assert now["bag"] == start["bag"]
    # 3. The first five films alone.
    press(page, part.get_by_role("button", name="True order"))
    slider = part.get_by_role("slider")
    if page.touch:
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        page.touchscreen.tap(box["x"] + 8 + (box["width"] - 16) * 4 / 24, box["y"] + box["height"] / 2)
        page.wait_for_timeout(60)
    else:
        reach(page, slider)
        page.keyboard.press("Home")
        for _ in range(4):
            page.keyboard.press("ArrowRight")
        page.wait_for_timeout(60)
    now = check(page, models, films)
    assert now["seen"] == 5 and part.locator(".tile.unread").count() == 20
    assert now["kept"] == [10, 10]
    # 4. Move the fifth film to the front: the first click lifts, the second lays down.
    press(page, tiles.nth(4))
    assert tiles.nth(4).get_attribute("aria-pressed") == "true"
    press(page, tiles.nth(0))
    now = check(page, models, films)
    assert now["order"][:5] == [ada[4], *ada[:4]] and part.locator("[aria-pressed=true]").count() == 0
    # 5. What stands at place twelve?
    press(page, tiles.nth(11))
    assert films["titles"][now["order"][11]] in tiles.nth(11).get_attribute("aria-label")


def test_arrows_walk_and_carry(page, films):
    if page.touch:
        pytest.skip("a phone has no arrow keys")
    ada, tiles = films["users"][0]["films"], page.locator("#widget-order .tile")
    tiles.nth(0).focus()
    page.keyboard.press("ArrowRight")
    assert tiles.nth(1).evaluate("node => node === document.activeElement")
    assert films["titles"][ada[1]] in shown(page)["told"]
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.wait_for_timeout(60)
    assert shown(page)["order"][:5] == [ada[0], ada[2], ada[3], ada[1], ada[4]]
    assert tiles.nth(3).evaluate("node => node === document.activeElement")


def test_a_film_is_dragged(page, models, films):
    ada, tiles = films["users"][0]["films"], page.locator("#widget-order .tile")
    tiles.nth(0).scroll_into_view_if_needed()
    start, end = (tiles.nth(place).bounding_box() for place in (1, 4))
    page.mouse.move(start["x"] + 10, start["y"] + 10)
    page.mouse.down()
    page.mouse.move(end["x"] + 10, end["y"] + 10, steps=8)
    page.mouse.up()
    page.wait_for_timeout(60)
    now = check(page, models, films)
    assert now["order"][:6] == [ada[0], ada[2], ada[3], ada[4], ada[1], ada[5]]
    assert page.locator("#widget-order [aria-pressed=true]").count() == 0


def test_other_films_among_the_first_are_said(page, models, films):
    page.evaluate("""() => {
        const {state, draw} = vaerecWidgets.running.order;
        state.seen = 6; state.move(24, 0); draw();
    }""")
    now = check(page, models, films)
    assert "Other films" in now["told"] and now["kept"][0] < 10
