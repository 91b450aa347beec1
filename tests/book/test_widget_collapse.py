"""The collapse machine: it has the package's loss, collapses, recovers, and answers keys and touch."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import run
import torch
from widget_page import WidgetPage

import vaerec as vr
from vaerec.batches import Bags
from vaerec.evaluation import _ListCounts

FOLDER = Path(__file__).parents[2] / "book" / "widgets" / "collapse"
PAGE = "notebooks/05-annealing-and-collapse"
SIZE = {"films": 12, "hidden": 5, "latent": 2}
TOLERANCE = 1e-5  # of losses and gradients, relative to their size; both sides compute in float64
PARTS = {  # name in the widget -> parameter of the package's MVAE
    "first": "first.weight", "firstBias": "first.bias",
    "code": "encoder.0.weight", "codeBias": "encoder.0.bias",
    "inner": "decoder.0.weight", "innerBias": "decoder.0.bias",
    "last": "decoder.2.weight", "lastBias": "decoder.2.bias",
}


@pytest.fixture(scope="module")
def data():
    return json.loads((FOLDER / "data.json").read_text(encoding="utf-8"))


@pytest.fixture
def widget(request, browser, address):
    page = WidgetPage(browser, address, PAGE, "collapse", getattr(request, "param", "light")).ready()
    page.until("d.step === '0'")
    yield page
    page.close()


def call(widget, code: str, *values):
    """Run code in the page: ``m`` is the widget's model, ``v`` the values."""
    return widget.page.evaluate(f"""(v) => {{
      const {{model: m, schedule, linearVae}} = vaerecWidgets.registered.collapse;
      const floats = (w) => Object.fromEntries(
        Object.entries(w).map(([name, value]) => [name, Float64Array.from(value)]));
      {code} }}""", list(values))


# -- the maths -----------------------------------------------------------------------------------

def package_model(seed: int) -> vr.models.MVAE:
    torch.manual_seed(seed)
    model = vr.models.MVAE(SIZE["films"], hidden_dims=(SIZE["hidden"],), latent_dim=2, dropout=0.0).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    return model


def batch(seed: int) -> tuple[list[np.ndarray], torch.Tensor]:
    generator = np.random.default_rng(seed)
    histories = [np.sort(generator.choice(SIZE["films"], generator.integers(1, 8), replace=False))
                 for _ in range(9)]
    return histories, torch.from_numpy(generator.standard_normal((9, 2)))


def flat(model) -> dict[str, list[float]]:
    parameters = dict(model.named_parameters())
    return {name: parameters[theirs].detach().flatten().tolist() for name, theirs in PARTS.items()}


def package_loss(model, histories, noise, beta):
    model.sample = lambda mu, logvar: vr.elbo.reparameterize(mu, logvar, noise)
    model.beta = vr.elbo.Constant(beta)
    model.train()
    loss, parts = model.loss(Bags.from_histories(histories, torch.device("cpu")), 0.5)
    return loss, parts


@pytest.mark.parametrize("beta", [0.0, 0.2, 12.0])
def test_loss_and_gradient_are_the_package_s(widget, beta):
    for seed in range(3):
        model, (histories, noise) = package_model(seed), batch(seed)
        loss, parts = package_loss(model, histories, noise, beta)
        loss.backward()
        ours = call(widget, """
          const found = m.lossAndGradient(floats(v[0]), v[1], v[2], Float64Array.from(v[3]), v[4]);
          for (const [name, value] of Object.entries(found.gradient)) {
            found.gradient[name] = Array.from(value);
          }
          return found;""",
            flat(model), SIZE, [h.tolist() for h in histories], noise.flatten().tolist(), beta)
        assert ours["loss"] == pytest.approx(loss.item(), rel=TOLERANCE)
        assert ours["rate"] == pytest.approx(parts["rate"].item(), rel=TOLERANCE)
        assert ours["distortion"] == pytest.approx(parts["distortion"].item(), rel=TOLERANCE)
        parameters = dict(model.named_parameters())
        for name, theirs in PARTS.items():
            gradient = parameters[theirs].grad.flatten()
            assert torch.tensor(ours["gradient"][name]).double().sub(gradient).abs().max() <= (
                TOLERANCE * gradient.abs().max()), name


def test_ten_steps_of_adam_are_torch_s(widget):
    model, (histories, noise) = package_model(0), batch(0)
    start = flat(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(10):
        optimizer.zero_grad()
        package_loss(model, histories, noise, 0.5)[0].backward()
        optimizer.step()
    ours = call(widget, """const w = floats(v[0]), update = m.adam(w, 0.02);
      for (let i = 0; i < 10; i++) {
        update(m.lossAndGradient(w, v[1], v[2], Float64Array.from(v[3]), 0.5).gradient);
      }
      return Object.fromEntries(Object.entries(w).map(([name, value]) => [name, Array.from(value)]));""",
        start, SIZE, [h.tolist() for h in histories], noise.flatten().tolist())
    for name, expected in flat(model).items():
        assert ours[name] == pytest.approx(expected, abs=1e-7), name


def test_the_alarm_is_the_package_s(widget):
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for spread in (0.0, 0.02, 0.1, 0.3, 1.0):
        scores = torch.randn(60, generator=generator) + spread * torch.randn(40, 60, generator=generator)
        counts = _ListCounts([10], 60)
        lists = scores.topk(10, dim=1).indices
        counts.add(lists, torch.ones_like(lists, dtype=torch.bool), scores)
        ours = call(widget, "return m.collapseAlarm(v[0], 60);", lists.tolist())
        assert ours["on"] == bool(counts.alarms())
        assert ours["shared"] == pytest.approx(counts.metrics()["overlap@10"], abs=1e-12)
        seen.add(ours["on"])
    assert seen == {True, False}


def test_the_random_numbers_are_normal_and_seeded(widget):
    values, again = (np.array(call(widget, """const {normal} = m.randomNumbers(7);
      return Array.from({length: 20000}, normal);""")) for _ in range(2))
    assert (values == again).all()
    assert abs(values.mean()) < 0.03 and abs(values.std() - 1) < 0.03
    assert abs((values**4).mean() - 3) < 0.3


def test_the_linear_vae_is_its_closed_form(widget):
    generator = np.random.default_rng(1)
    for _ in range(20):
        eigenvalues = np.sort(generator.uniform(0.05, 5, 6))[::-1]
        noise, beta = generator.uniform(0.05, 1), float(np.exp(generator.uniform(-1, 3)))
        price = beta * noise
        ours = call(widget, "return linearVae({eigenvalues: v[0], noise_var: v[1]}, v[2]);",
                    eigenvalues.tolist(), noise, beta)
        assert ours["alive"] == (eigenvalues > price).tolist()
        rate = 0.5 * np.log(eigenvalues[eigenvalues > price] / price).sum()
        assert ours["rate"] == pytest.approx(rate, abs=1e-9)
        assert ours["distortion"] == pytest.approx(
            np.minimum(eigenvalues, price).sum() / (2 * noise) + 3 * np.log(2 * np.pi * noise), abs=1e-9)


def test_the_eigenvalues_are_those_of_the_chapter(data):
    (source,) = [cell.source for cell in run.code_cells(run.read("05-annealing-and-collapse"))
                 if "eigenvalues = torch.tensor" in cell.source]
    written = json.loads(re.search(r"torch\.tensor\((\[.*?\])", source)[1])
    noise = float(re.search(r"noise_var = .*?([\d.]+)  #", source)[1])
    assert data["linear"] == {"eigenvalues": written, "noise_var": noise}


def test_the_data_is_what_its_script_makes(data):
    spec = importlib.util.spec_from_file_location("make_collapse", FOLDER / "make.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.data() == data


# -- the plan of beta ------------------------------------------------------------------------------

def test_a_stroke_changes_what_lies_ahead_and_never_the_past(widget):
    plan = call(widget, "return schedule.stroke(schedule.flat(0.2), 300, [10, 1], [50, 10]).betas;")
    assert plan[:30] == [0.2] * 30 and plan[51:] == [0.2] * 49
    assert plan[50] == pytest.approx(10) and plan[30] == pytest.approx(10**0.5)
    held = call(widget, "return schedule.hold(schedule.flat(0.2), 305, 12).betas;")
    assert held == [0.2] * 30 + [12] * 70


# -- the reader's five tasks -----------------------------------------------------------------------

def handles(widget) -> list[float]:
    """The values of beta that the strip's handles say."""
    return [float(handle.get_attribute("aria-valuenow")) for handle in widget.figure.locator(".handle").all()]


def test_collapse_and_recovery_by_keyboard(widget):
    assert widget.shown()["playing"] is False  # no motion was wanted, so nothing began by itself
    widget.press("#collapse-step", "Enter")
    widget.until("d.step === '1'")
    widget.press("#collapse-beta", *["ArrowRight"] * 11)  # 1: make it collapse, from .2 up to 12
    widget.press("#collapse-play", "Enter")
    widget.until("d.collapsed === 'true' && Number(d.rate) < 0.05")
    assert "one list for all" in widget.figure.locator("#collapse-alarm").inner_text()
    widget.press("#collapse-beta", *["ArrowLeft"] * 11)  # 2: bring it back
    widget.until("d.collapsed === 'false' && Number(d.rate) > 1")
    widget.press("#collapse-play", "Space")
    widget.until("d.playing === 'false'")
    shown = widget.shown()
    assert shown["beta"] == 0.2 and shown["shared"] < 0.9
    assert f"Step {shown['step']}, beta 0.2" in widget.said()


def test_a_plan_drawn_with_the_keys_and_the_linear_vae(widget):
    widget.press("#collapse-strip .handle[tabindex='0']", "ArrowLeft", "PageUp")  # 3: beta rises late
    plan = handles(widget)
    assert plan[:9] == [0.2] * 9 and plan[9] == 1 and plan[10] == 0.2
    widget.press("#collapse-tab-vae", "ArrowRight")  # 4 and 5: two units alive, then none
    slider = "#collapse-linear-beta"
    widget.press(slider, *["PageUp"] * 3)
    for _ in range(40):
        if widget.shown()["alive"] == 2:
            break
        widget.page.keyboard.press("ArrowRight")
        widget.page.wait_for_timeout(30)
    assert widget.shown()["alive"] == 2
    widget.press(slider, "End")
    widget.until("d.alive === '0'")
    assert "collapsed" in widget.figure.locator("#collapse-units").inner_text()


@pytest.mark.parametrize("widget", ["phone"], indirect=True)
def test_tasks_by_touch_on_a_phone(widget):
    strip = widget.figure.locator("#collapse-strip")
    strip.scroll_into_view_if_needed()
    box = strip.bounding_box()
    widget.page.touchscreen.tap(box["x"] + 0.75 * box["width"], box["y"] + 15)
    betas = widget.figure.locator(".future").get_attribute("d")
    assert len(set(re.findall(r"[\d.]+ ([\d.]+)H", betas))) == 2  # one cell was lifted by the finger
    widget.figure.locator("[data-plan=cycles]").tap()
    widget.until("Number(d.step) >= 8 && d.playing === 'true'")
    widget.figure.locator("#collapse-play").tap()
    widget.until("d.playing === 'false'")
    widget.figure.locator("#collapse-reset").tap()
    widget.until("d.step === '0'")
    widget.figure.locator("#collapse-tab-linear").tap()
    widget.until("d.alive === '4'")
    widget.check_form()


def test_it_is_drawn_by_the_pointer(widget):
    box = widget.figure.locator("#collapse-strip").bounding_box()
    mouse = widget.page.mouse
    mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 15)
    mouse.down()
    mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 15, steps=10)
    mouse.up()
    plan = handles(widget)
    assert plan[0] == plan[1] == 0.2 and min(plan[4:8]) > 5


@pytest.mark.parametrize("widget", ["light", "dark"], indirect=True)
def test_its_form(widget):
    widget.check_form(tallest=600)
    widget.figure.locator("#collapse-tab-linear").click()
    widget.check_form(tallest=600)


def test_it_begins_by_itself_where_motion_is_welcome(browser, address):
    widget = WidgetPage(browser, address, PAGE, "collapse", reduced_motion="no-preference").ready()
    widget.until("Number(d.step) > 4")
    widget.page.mouse.wheel(0, -20_000)  # out of sight it rests
    widget.until("d.playing === 'false'")
    widget.close()


# -- without what it needs ---------------------------------------------------------------------------

def test_without_scripts_or_workers_there_is_a_picture(browser, address):
    bare = WidgetPage(browser, address, PAGE, "collapse", java_script_enabled=False)
    assert bare.figure.locator("img").is_visible()
    bare.close()
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script("delete window.Worker")
    page.goto(f"{address}/{PAGE}.html")
    page.wait_for_selector("#widget-collapse .widget-trouble")
    assert "workers" in page.locator("#widget-collapse .widget-trouble").inner_text()
    assert page.locator("#widget-collapse img").is_visible()
    context.close()
