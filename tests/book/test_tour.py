"""The tour page: its data are those of chapter 0, and it works with the keyboard alone."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import run

import vaerec as vr

ROOT = Path(__file__).parents[2]
DATA = ROOT / "book" / "_static" / "tour.json"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_tour", ROOT / "book" / "make_tour.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data():
    return json.loads(DATA.read_text(encoding="utf-8"))


@pytest.fixture(params=["Ada", "Ben", "Chi"])
def user(request, data):
    return next(user for user in data["users"] if user["name"] == request.param)


def ticks(user: dict, step: dict) -> int:
    return len(set(step["top"]) & set(user["favourites"]))


def width(step: dict) -> float:
    return sum(step["width"]) / 2


# -- the data ------------------------------------------------------------------------------------

def test_the_data_is_small_and_safe_inside_a_script_element():
    assert DATA.stat().st_size < 150_000
    assert "</" not in DATA.read_text(encoding="utf-8")


def test_the_inputs_are_those_of_chapter_0(data):
    assert data["settings"] == run.chapters()["00-tour"]["full"]
    assert data["fingerprint"] == vr.load("synthetic").fingerprint


def test_the_model_is_as_good_as_that_of_chapter_0(data):
    recorded = run.recorded(run.read("00-tour"))
    for name, value in data["ndcg"].items():
        assert value == pytest.approx(recorded[f"c00_{name}_liang_ndcg@100"], abs=0.01)
    assert data["ndcg"]["popularity"] < data["ndcg"]["mvae"] < data["ndcg"]["oracle"]


def test_a_user_is_whole(user, data, script):
    films = set(user["films"])
    assert [step["seen"] for step in user["steps"]] == script.stops(len(user["films"]))
    assert user["steps"][-1]["seen"] == len(user["films"]) == len(films)
    assert len(set(user["favourites"])) == 25 and not films & set(user["favourites"])
    for step in user["steps"]:
        assert len(set(step["top"])) == 10 and not films & set(step["top"])
        assert min(step["width"]) > 0 and len(step["centre"]) == 2
    used = films | set(user["favourites"]) | {film for step in user["steps"] for film in step["top"]}
    assert used <= set(range(len(data["films"])))


def test_what_the_page_says_of_the_users_is_so(data):
    ada, ben, chi = data["users"]
    assert [len(user["films"]) for user in (ada, ben)] == [25, 6]
    kinds = [data["genres"][data["films"][film][1]] for film in ada["films"]]
    assert kinds[0] == "Comedy" and kinds[:5].count("Comedy") > 2 and kinds[-5:].count("Noir") > 2
    # Surest with all films, and worst.
    assert min(ada["steps"], key=width) is ada["steps"][-1]
    assert ticks(ada, ada["steps"][-1]) == min(ticks(ada, step) for step in ada["steps"][1:])
    assert ticks(ada, ada["steps"][3]) > ticks(ada, ada["steps"][-1]) + 5
    # Each user's last cloud is narrower than the first, and the more films, the narrower.
    assert width(ben["steps"][-1]) > width(ada["steps"][-1]) > width(chi["steps"][-1])
    moves = np.linalg.norm(np.diff([step["centre"] for step in ben["steps"]], axis=0), axis=1)
    assert moves.argmax() == 0
    assert max(ticks(chi, step) for step in chi["steps"]) <= ticks(chi, chi["steps"][0])
    for user in data["users"]:
        assert user["steps"][0]["centre"] == [0, 0] and user["steps"][0]["width"] == [1, 1]


def test_the_script_writes_this_data(script, data):
    """Trains anew: exact where no training is in between, close where other hardware may differ."""
    fresh = script.build()
    trained = {"users", "films", "crowd", "landmarks", "ndcg"}
    assert {key: fresh[key] for key in fresh.keys() - trained} == {
        key: data[key] for key in data.keys() - trained}
    for name, value in fresh["ndcg"].items():
        assert value == pytest.approx(data["ndcg"][name], abs=0.005)

    def named(world, films):
        return [world["films"][film][0] for film in films]

    common = []
    for ours, theirs in zip(fresh["users"], data["users"]):
        assert named(fresh, ours["films"]) == named(data, theirs["films"])
        assert set(named(fresh, ours["favourites"])) == set(named(data, theirs["favourites"]))
        for a, b in zip(ours["steps"], theirs["steps"]):
            assert a["seen"] == b["seen"]
            np.testing.assert_allclose(a["centre"], b["centre"], atol=0.2)
            np.testing.assert_allclose(a["width"], b["width"], atol=0.1)
            common.append(len(set(named(fresh, a["top"])) & set(named(data, b["top"]))))
    assert np.mean(common) > 8


# -- the page ------------------------------------------------------------------------------------

@pytest.fixture
def page(browser, address):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}/book/tour.html", wait_until="load")
    page.locator("#tour ol li").first.wait_for()
    yield page
    assert errors == []
    context.close()


def shown(page) -> dict:
    """What a reader sees at this moment."""
    text = page.locator("#tour label").inner_text()
    name, seen, of = re.search(r"Films of (\w+) .*: (\d+) of (\d+)", text).groups()
    return {
        "user": name, "seen": int(seen), "of": int(of),
        "lit": page.locator("#tour .tour-tiles .on").count(),
        "tiles": page.locator("#tour .tour-tiles span").count(),
        "list": page.locator("#tour ol li").all_inner_texts(),
        "ticks": page.locator("#tour ol li.hit").count(),
        "radius": sum(float(page.locator("#tour .edge").get_attribute(r)) for r in ("rx", "ry")),
        "centre": page.locator("#tour .centre").get_attribute("cy"),
        "summary": page.locator("#tour [role=status]").inner_text(),
    }


def test_the_slider_is_reached_and_moved_by_the_keyboard(page):
    page.locator("#tour button").nth(2).focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "tour-seen"
    before = shown(page)
    page.keyboard.press("ArrowRight")
    after = shown(page)
    assert (before["seen"], after["seen"]) == (3, 4)
    assert after["lit"] == 4 and after["tiles"] == 25
    assert after["radius"] < before["radius"] and after["centre"] != before["centre"]
    assert after["summary"] != before["summary"]
    page.keyboard.press("End")
    last = shown(page)
    assert last["seen"] == last["lit"] == 25
    assert last["list"] != before["list"]
    page.keyboard.press("Home")
    none = shown(page)
    assert none["seen"] == none["lit"] == 0
    assert last["radius"] < before["radius"] < none["radius"]
    assert page.locator("#tour-seen").get_attribute("aria-valuetext") == "0 of 25 films"


def test_users_are_chosen_by_the_keyboard(page, data):
    for place, user in enumerate(data["users"]):
        button = page.locator("#tour fieldset button").nth(place)
        button.focus()
        page.keyboard.press("Enter")
        now = shown(page)
        assert (now["user"], now["of"]) == (user["name"], len(user["films"]))
        assert now["tiles"] == len(user["films"])
        assert page.locator("#tour [aria-pressed=true]").all_inner_texts() == [button.inner_text()]


def test_every_place_of_the_slider_shows_its_data(page, data):
    ada = data["users"][0]
    page.locator("#tour-seen").focus()
    page.keyboard.press("Home")
    for step in ada["steps"]:
        now = shown(page)
        assert now["seen"] == now["lit"] == step["seen"]
        assert now["ticks"] == ticks(ada, step)
        assert f"Hidden favourites: {now['ticks']} of ten" in now["summary"]
        for film, line in zip(step["top"], now["list"]):
            assert data["films"][film][0] in line
        page.keyboard.press("ArrowRight")


def test_one_step_more_stops_at_the_end(page):
    more = page.get_by_role("button", name="One step more")
    more.focus()
    page.keyboard.press("Space")
    assert shown(page)["seen"] == 4
    page.locator("#tour-seen").focus()
    page.keyboard.press("End")
    assert more.is_disabled()


def test_parts_have_names_for_a_screen_reader(page):
    assert page.get_by_role("slider", name=re.compile("Films of Ada")).count() == 1
    assert page.get_by_role("group", name="Whose films?").count() == 1
    assert page.get_by_role("img", name=re.compile("The plane of tastes")).count() == 1
    assert page.get_by_role("img", name="3 of 25 tiles are filled").count() == 1
    assert page.locator("#tour [role=status]").get_attribute("aria-live") == "polite"
    # A tick is told by a word too.
    assert "hidden favourite" in page.locator("#tour li.hit").first.text_content()


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_motion_is_asked_for(browser, address, motion):
    page = browser.new_page(reduced_motion=motion)
    page.goto(f"{address}/book/tour.html", wait_until="load")
    seconds = page.locator("#tour .edge").evaluate("e => getComputedStyle(e).transitionDuration")
    assert (max(float(part.strip(" s")) for part in seconds.split(",")) == 0) == (motion == "reduce")
    page.close()


def luminance(colour: str) -> float:
    parts = np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(browser, address, scheme):
    page = browser.new_page(color_scheme=scheme)
    page.goto(f"{address}/book/tour.html", wait_until="load")
    page.locator("#tour ol li").first.wait_for()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    for name in (".tour-tiles .on", ".tour-tiles span:not(.on)", "[aria-pressed=true]",
                 "[aria-pressed=false]", "li.hit", "li .genre", ".tour-summary"):
        ink, own = page.locator(f"#tour {name}").first.evaluate(
            "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]")
        dark, light = sorted(luminance(c) for c in (ink, ground if "rgba(0, 0, 0, 0)" in own else own))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, name
    page.close()


def test_a_phone_shows_it_whole(browser, address):
    page = browser.new_page(viewport={"width": 390, "height": 800}, has_touch=True)
    page.goto(f"{address}/book/tour.html", wait_until="load")
    page.locator("#tour ol li").first.wait_for()
    for place in range(3):
        page.locator("#tour fieldset button").nth(place).tap()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for control in page.locator("#tour button, #tour input").all():
        box = control.bounding_box()
        assert box["height"] >= 44
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    page.close()


def test_without_javascript_it_says_where_to_look(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/book/tour.html", wait_until="load")
    assert "needs JavaScript" in page.locator("#tour").inner_text()
    assert page.locator(".bd-article a[href$='notebooks/00-tour.html']").count() == 1
    context.close()


def test_it_works_from_a_file(browser, site):
    page = browser.new_page()
    page.goto((site / "book" / "tour.html").as_uri(), wait_until="load")
    assert page.locator("#tour ol li").count() == 10
    page.close()
