"""Three tables: every value comes from a committed file, and what was not measured is said to be so."""

import importlib.util
import itertools
import json
import sys
from pathlib import Path

import pandas as pd
import pytest
import run
import yaml
from widget_page import WidgetPage

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "book" / "widgets" / "three-tables"
PAGE = "notebooks/09-a-detective-story"
CHOICES = {"users": ("strangers", "known"), "targets": ("random", "last"), "likes": ("four", "every"),
           "seen": ("masked", "kept"), "lists": ("personal", "one")}
PROTOCOLS = {("strangers", "random", "four"): "LIANG_2018", ("strangers", "last", "four"): "SACHDEVA_2019",
             ("known", "random", "four"): "BLOG_2022", ("known", "random", "every"): "METAREC"}


@pytest.fixture(scope="module")
def data():
    return json.loads((FOLDER / "data.json").read_text(encoding="utf-8"))


@pytest.fixture
def widget(request, browser, address):
    page = WidgetPage(browser, address, PAGE, "three-tables", getattr(request, "param", "light")).ready()
    yield page
    page.close()


def measured(model: str, protocol: str, masked: bool) -> float | None:
    """NDCG@100 straight from the committed files; not by the widget's script."""
    if model in ("popularity", "EASE"):
        end = "" if masked else "_unmasked"
        key = f"c09_{model.lower()}_{protocol.split('_')[0].lower()}{end}_ndcg@100"
        return run.recorded(run.read("09-a-detective-story"))[key]
    if (model, protocol, masked) == ("SVAE", "SACHDEVA_2019", True):
        long = pd.read_csv(ROOT / "benchmarks" / "svae_runs.csv")
        return long[long["variant"] == "SVAE"]["ndcg@100"].mean()
    table = pd.read_csv(ROOT / "benchmarks" / "detective.csv")
    rows = table[(table["variant"] == f"{protocol} {model}") & (table["masked"] == masked)]
    return rows["ndcg@100"].mean() if len(rows) else None


def test_the_data_is_what_its_script_makes(data):
    spec = importlib.util.spec_from_file_location("make_three_tables", FOLDER / "make.py")
    script = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(script)
    sys.path[:] = before
    assert script.data() == data, "run book/widgets/three-tables/make.py again"


def test_the_published_rows_are_those_of_the_sources(data):
    sources = yaml.safe_load((ROOT / "benchmarks" / "published.yaml").read_text(encoding="utf-8"))
    kept = {(row["model"], row["value"]) for row in data["published"]}
    theirs = {(model, values["ndcg@100"]) for name in ("sachdeva_2019", "blog_2022", "metarec")
              for model, values in sources[name]["results"].items()}
    assert kept == theirs


def test_each_setting_shows_the_committed_number_or_none(widget, data):
    shown = widget.page.evaluate("""([rows, all]) => all.map(settings => rows.map(row => {
      const {ours} = vaerecWidgets.registered['three-tables'];
      const found = ours(window.data, row, settings);
      return found ? found.value : null; }))""".replace("window.data", json.dumps(data)),
        [data["published"], [dict(zip(CHOICES, values, strict=True))
                             for values in itertools.product(*CHOICES.values())]])
    missing = 0
    for (users, targets, likes, seen, lists), values in zip(itertools.product(*CHOICES.values()), shown,
                                                            strict=True):
        protocol = PROTOCOLS.get((users, targets, likes))
        for row, value in zip(data["published"], values, strict=True):
            model = "popularity" if lists == "one" else row["model"]
            expected = measured(model, protocol, seen == "masked") if protocol else None
            assert value == (None if expected is None else pytest.approx(expected, abs=1e-6))
            missing += value is None
    assert missing > 100  # most combinations were not measured, and none is invented


def test_five_tasks_by_keyboard(widget):
    widget.press("[name=three-tables-targets]", "ArrowRight")  # 1: the paper's MVAE
    first = widget.figure.locator("li").first
    assert "✓" in first.inner_text() and widget.shown()["protocol"] == "SACHDEVA_2019"
    widget.press("[name=three-tables-likes]", "ArrowRight")  # 2: not measured
    assert widget.shown()["protocol"] == "" and widget.shown()["values"] == [None] * 7
    assert "not measured" in widget.said()
    widget.press("[name=three-tables-targets]", "ArrowLeft")  # 3: MetaRec's EASE
    widget.press("[name=three-tables-users]", "ArrowRight")
    before = widget.shown()["values"][4]
    widget.press("[name=three-tables-seen]", "ArrowRight")  # 4: the mask off
    assert widget.shown()["values"][4] < before
    assert "✓" in widget.figure.locator("li").nth(4).inner_text()
    widget.press("[name=three-tables-likes]", "ArrowLeft")  # 5: the blog's SVAE
    widget.press("[name=three-tables-lists]", "ArrowRight")
    assert "✓" in widget.figure.locator("li").nth(3).inner_text()
    assert widget.shown()["found"] >= 3


@pytest.mark.parametrize("widget", ["phone"], indirect=True)
def test_tasks_by_touch_on_a_phone(widget):
    for choice in ("users-known", "seen-kept", "lists-one"):
        widget.figure.locator(f"#three-tables-{choice}").tap()
    assert widget.shown()["protocol"] == "BLOG_2022"
    assert "✓" in widget.figure.locator("li").nth(3).inner_text()
    widget.check_form()


@pytest.mark.parametrize("widget", ["light", "dark"], indirect=True)
def test_its_form(widget):
    widget.check_form(tallest=600)
