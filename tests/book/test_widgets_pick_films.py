"""Pick films, move the cloud: its numbers are the package's, and strangers can do five things with it."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import vaerec as vr
from vaerec.batches import Bags

FOLDER = Path(__file__).parents[2] / "book" / "widgets" / "pick-films"
NAME = "pick-films"
SIZES = (2, 16)
TOLERANCE = 1e-9  # both sides in double precision, with the same float32 weights


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("make_pick_films", FOLDER / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def world(make):
    return make.World()


@pytest.fixture(scope="module")
def films():
    return json.loads((FOLDER / "films.json").read_text(encoding="utf-8"))


def kept(size: int) -> dict:
    return json.loads((FOLDER / f"mvae-{size}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def models(make, world):
    """The package's models with the weights that the browser reads, in double precision."""
    made = {}
    for size in SIZES:
        model = make.untrained(world.split.n_items, size)
        model.remember_popularity(world.split)
        made[size] = make.with_weights(model, make.weights.unpacked(kept(size))).double().eval()
    return made


# -- the data ------------------------------------------------------------------------------------

def test_the_films_are_those_of_the_world(world, films):
    assert films == json.loads(json.dumps(world.films()))


@pytest.mark.parametrize("size", SIZES)
def test_one_byte_a_number_ranks_as_well(size, models, world):
    recorded = kept(size)["ndcg"]
    ndcg = vr.evaluate(models[size].float(), world.split.test)["ndcg@100"]
    models[size].double()
    assert ndcg == pytest.approx(recorded["int8"], abs=1e-4)
    assert abs(ndcg - recorded["float32"]) < 0.002


def test_sixteen_numbers_rank_better():
    assert kept(16)["ndcg"]["float32"] > kept(2)["ndcg"]["float32"] + 0.05


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_the_script_trains_this(make, world, size):
    model = world.train(size)
    assert vr.evaluate(model, world.split.test)["ndcg@100"] == pytest.approx(
        kept(size)["ndcg"]["float32"], abs=0.01)


# -- the page ------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def page(browser, address):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"{address}/book/intro.html", wait_until="load")
    page.locator(f"#widget-{NAME}[data-ready]").wait_for()
    yield page
    assert problems == []
    context.close()


def put(page, films: list[int], size: int, taste=None) -> None:
    """Set what was watched, and draw."""
    page.evaluate("""([films, size, taste]) => {
        const {state, draw} = vaerecWidgets.running["pick-films"];
        state.meet(null); state.resize(size); state.watched = films; state.taste = taste; draw();
    }""", [films, size, taste])


def shown(page) -> dict:
    """What a reader sees."""
    part = page.locator(f"#widget-{NAME}")
    rows = part.locator(".top .entry")
    return {"width": float(part.locator(".width strong").inner_text()),
            "titles": rows.evaluate_all("rows => rows.map(row => row.title)"),
            "genres": rows.locator(".pill").all_inner_texts(),
            "verdict": part.locator(".verdict").inner_text(),
            "watched": part.locator(".shelf output").inner_text()}


@pytest.mark.parametrize("size", SIZES)
def test_cloud_and_scores_are_the_package_s(page, models, size):
    chance = np.random.default_rng(size)
    histories = [chance.permutation(models[size].n_items)[:n] for n in (1, 2, 7, 60, 400)]
    with torch.no_grad():
        mu, logvar = models[size].encode(Bags.from_histories(histories, torch.device("cpu")))
        scores = models[size].decode(mu)
    for row, history in enumerate(histories):
        found = page.evaluate("""([size, films]) => {
            const {encode, decode, running} = {...vaerecWidgets.registered["pick-films"], ...vaerecWidgets};
            const model = running["pick-films"].state.models[size];
            const {centre, width} = encode(model, films);
            return {centre: [...centre], width: [...width], scores: [...decode(model, centre)]};
        }""", [size, history.tolist()])
        np.testing.assert_allclose(found["centre"], mu[row], atol=TOLERANCE)
        np.testing.assert_allclose(found["width"], (logvar[row] / 2).exp(), atol=TOLERANCE)
        np.testing.assert_allclose(found["scores"], scores[row], atol=TOLERANCE)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_shown_is_the_package_s(page, models, films, size):
    chance = np.random.default_rng(10 + size)
    awake = [i for i, spread in enumerate(kept(size)["activity"]) if spread > 0.3]
    for n in (0, 1, 5, 30):
        history = chance.permutation(models[size].n_items)[:n]
        put(page, history.tolist(), size)
        now = shown(page)
        scores = models[size].scores([history])[0]
        scores[history] = -torch.inf
        assert now["titles"] == [films["titles"][film] for film in scores.topk(10).indices]
        width = np.ones(size)
        if n:
            with torch.no_grad():
                _, logvar = models[size].encode(Bags.from_histories([history], torch.device("cpu")))
            width = (logvar[0] / 2).exp().numpy()
        assert now["width"] == pytest.approx(width[awake].mean(), abs=0.00501)
        taste = chance.normal(size=size)
        put(page, history.tolist(), size, taste.tolist())
        with torch.no_grad():
            scores = models[size].decode(torch.from_numpy(taste)[None])[0]
        scores[history] = -torch.inf
        assert shown(page)["titles"] == [films["titles"][film] for film in scores.topk(10).indices]


def test_the_ten_lists_are_the_package_s(page, models, films):
    put(page, films["users"][1]["films"], 2)
    page.locator(f"#widget-{NAME} .primary").click()
    samples = page.evaluate("vaerecWidgets.running['pick-films'].state.samples.map(taste => [...taste])")
    with torch.no_grad():
        scores = models[2].decode(torch.tensor(samples, dtype=torch.float64))
    scores[:, films["users"][1]["films"]] = -torch.inf
    top = scores.topk(10).indices
    page.locator(f"#widget-{NAME} .column").first.wait_for()
    assert f"{len(top.unique())} different films" in shown(page)["verdict"]
    letters = page.locator(f"#widget-{NAME} .column").evaluate_all(
        "columns => columns.map(c => [...c.querySelectorAll('.pill')].map(p => p.textContent))")
    genres = {"Science Fiction": "Sci-fi", "Documentary": "Docu"}
    names = [genres.get(name, name)[:2] for name in films["genres"]]
    assert letters == [[names[films["genre"][film]] for film in row] for row in top.tolist()]


def test_tastes_are_drawn_from_the_cloud(page, films):
    """Mean and standard deviation of many draws, within four standard errors."""
    put(page, films["users"][1]["films"], 16)
    drawn, cloud = page.evaluate("""() => {
        const {state} = vaerecWidgets.running["pick-films"], all = [];
        for (let i = 0; i < 400; i++) { state.sample(); all.push(...state.samples.map(t => [...t])); }
        state.settle();
        const {centre, width} = state.cloud();
        return [all, {centre: [...centre], width: [...width]}];
    }""")
    n, width = len(drawn), np.array(cloud["width"])
    assert (np.abs(np.mean(drawn, axis=0) - cloud["centre"]) < 4 * width / n**0.5).all()
    assert (np.abs(np.std(drawn, axis=0) / width - 1) < 4 / (2 * n) ** 0.5).all()


def test_the_favourites_are_counted(page, films):
    for user in films["users"]:
        page.get_by_role("button", name=user["name"], exact=True).click()
        page.locator(f"#widget-{NAME} [data-who={user['name']}]").wait_for()
        now = shown(page)
        favourites = {films["titles"][film] for film in user["favourites"]}
        assert f"{len(favourites & set(now['titles']))} of 10 are hidden favourites" in now["verdict"]
        unseen = [film for film in np.argsort(-np.array(films["counts"]), kind="stable")
                  if film not in user["films"]]
        usual = sum(film in user["favourites"] for film in unseen[:10])
        assert f"most popular films: {usual}" in now["verdict"]


# -- five tasks, by keyboard alone and on a phone -------------------------------------------------

class Hand:
    """Reaches a control by Tab and presses it, or taps it."""

    def __init__(self, page, touch: bool):
        self.page, self.touch = page, touch
        self.part = page.locator(f"#widget-{NAME}")

    def press(self, locator):
        if self.touch:
            locator.tap()
        else:
            self.reach(locator)
            self.page.keyboard.press("Enter")
        self.page.wait_for_timeout(60)

    def reach(self, locator):
        """By Tab alone, from the widget's first control."""
        self.part.locator("button").first.focus()
        for _ in range(80):
            if locator.evaluate("node => node === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"no way by Tab to {locator}")

    def named(self, name: str):
        return self.part.get_by_role("button", name=re.compile(f"^{name}"))


@pytest.fixture(params=["keyboard", "touch"])
def hand(request, browser, address):
    touch = request.param == "touch"
    context = browser.new_context(viewport={"width": 390 if touch else 1280, "height": 844}, has_touch=touch,
                                  reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{address}/book/intro.html", wait_until="load")
    page.locator(f"#widget-{NAME}[data-ready]").wait_for()
    yield Hand(page, touch)
    context.close()


def test_a_stranger_can_do_five_things(hand):
    page, part = hand.page, hand.part
    # 1. Fill the list with one genre by two clicks, and narrow the cloud.
    hand.press(hand.named("Horror"))
    hand.press(part.locator(".film").first)
    now = shown(page)
    assert now["genres"].count("Hor") > 5 and now["width"] < 0.9 and now["watched"] == "1"
    # 2. Take the film back: the model knows nothing again.
    hand.press(part.locator(".film").first)
    assert shown(page)["width"] == 1
    # 3. Sixteen numbers repair Ada's list.
    hand.press(hand.named("Ada"))
    two = int(re.search(r"(\d+) of 10", shown(page)["verdict"])[1])
    hand.press(hand.named("16 numbers"))
    sixteen = int(re.search(r"(\d+) of 10", shown(page)["verdict"])[1])
    assert two <= 5 < 8 <= sixteen
    # 4. Ten tastes for Ben, and one of the lists to read.
    hand.press(hand.named("2 numbers"))
    hand.press(hand.named("Ben"))
    hand.press(hand.named("Draw ten tastes"))
    assert "different films" in shown(page)["verdict"]
    hand.press(part.locator(".column").nth(7))
    assert part.locator(".top").is_visible()
    # 5. Move the taste, and go back to the centre.
    hand.press(part.locator(".actions button").nth(1))
    before = shown(page)["titles"]
    if hand.touch:
        box = part.locator(".plane svg").bounding_box()
        page.touchscreen.tap(box["x"] + 0.1 * box["width"], box["y"] + 0.5 * box["height"])
    else:
        hand.reach(part.locator(".handle"))
        for _ in range(20):
            page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(60)
    assert shown(page)["titles"] != before
    hand.press(part.locator(".actions button").nth(1))
    assert shown(page)["titles"] == before


def test_the_focus_stays_where_it_was(page):
    part = page.locator(f"#widget-{NAME}")
    put(page, [], 2)
    for selector in (".film >> nth=2", ".top .entry >> nth=0", ".top .entry >> nth=4", ".chip >> nth=3"):
        part.locator(selector).focus()
        page.keyboard.press("Enter")
        page.wait_for_timeout(60)
        assert part.locator(selector).evaluate("node => node === document.activeElement"), selector
    assert shown(page)["watched"] == "3"


def test_the_search_looks_at_all_films(page, films):
    part = page.locator(f"#widget-{NAME}")
    word = "goat"
    part.get_by_role("searchbox").fill(word)
    page.wait_for_timeout(60)
    rows = part.locator(".film:visible").evaluate_all("rows => rows.map(row => row.title)")
    assert len(rows) == 6 and all(word in title.lower() for title in rows)
    pages = -(-sum(word in title.lower() for title in films["titles"]) // 6)
    assert part.locator(".page").inner_text() == f"1/{pages}"
    part.get_by_role("searchbox").fill("")


def test_a_drag_moves_the_taste(page):
    put(page, [], 2)
    handle = page.locator(f"#widget-{NAME} .handle")
    box = handle.bounding_box()
    before = shown(page)["titles"]
    page.mouse.move(box["x"] + 9, box["y"] + 9)
    page.mouse.down()
    page.mouse.move(box["x"] - 93, box["y"] + 9, steps=6)
    page.mouse.up()
    page.wait_for_timeout(60)
    now = handle.bounding_box()
    assert now["x"] == pytest.approx(box["x"] - 102, abs=2) and now["y"] == pytest.approx(box["y"], abs=2)
    assert shown(page)["titles"] != before
