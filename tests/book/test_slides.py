"""The slides: what the rule shows, and that a browser without a network shows it inside the frame."""

import importlib.util
from pathlib import Path

import nbformat
import pytest
import run
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).parents[2]
CHAPTERS = list(run.chapters())


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_slides", ROOT / "book" / "make_slides.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(script, *cells) -> list[str]:
    """The text of each slide, without the speaker's notes."""
    made: list[str] = []
    for cell in script.slides(new_notebook(cells=list(cells))).cells:
        kind = cell.metadata.slideshow.slide_type
        if kind in ("slide", "subslide"):
            made.append("")
        if kind != "notes":
            made[-1] += cell.source + "".join(output.get("text", "") for output in cell.get("outputs", []))
    return made


def test_headings_predictions_and_misconceptions_start_slides(script):
    text = "# One\n\nText.\n\n**Predict.** Up?\n\n## Two\n\n> **Misconception: \"no.\"** Yes.\n\nMore."
    one, predict, two, misconception = shown(script, new_markdown_cell(text))
    assert "Text." in one and "Up?" in predict and two == "## Two" and "Yes." in misconception


def test_an_exercise_shows_its_question_and_no_answer(script):
    text = ("## Exercises\n\n**1. Pencil.** How much?\n\n```python\nvr.exercises.check(\"x\", ...)\n```\n\n"
            "<details><summary>Solution</summary>\n\nFORTY\n\n</details>\n\n**2. Code.** Write it.")
    _, first, second = shown(script, new_markdown_cell(text))
    assert "How much?" in first and "Write it." in second
    assert "FORTY" not in first + second and "exercises.check" not in first + second


def test_long_code_is_hidden_and_its_output_stays(script):
    printed = new_output("stream", name="stdout", text="SEEN")
    long = new_code_cell("x = 1\n" * 9, outputs=[printed])
    short = new_code_cell("y = 2", outputs=[printed])
    made = "".join(shown(script, new_markdown_cell("## A"), long, short))
    assert "x = 1" not in made and "y = 2" in made and made.count("SEEN") == 2


def test_tags_overrule_the_rule(script):
    long = "x = 1\n" * 9
    tagged = [new_code_cell(long, metadata={"tags": [tag]}) for tag in ("slide", "skip-slide")]
    assert "".join(shown(script, new_markdown_cell("## A"), *tagged)).count(long) == 1


def test_text_that_finds_no_room_goes_to_the_notes(script):
    paragraphs = [f"Sentence {n}. " + "word " * 60 for n in range(5)]
    deck = script.slides(new_notebook(cells=[new_markdown_cell("## A\n\n" + "\n\n".join(paragraphs))]))
    notes = [cell.source for cell in deck.cells if cell.metadata.slideshow.slide_type == "notes"]
    assert any("Sentence 4" in note for note in notes)
    assert "Sentence 0" not in "".join(notes)


@pytest.mark.slow
@pytest.mark.parametrize("stem", CHAPTERS)
def test_each_slide_is_inside_the_frame_and_needs_no_network(stem, script, browser, tmp_path):
    file = script.write(stem, tmp_path)
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    errors, foreign = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: request.url.startswith((file.as_uri(), "data:"))
            or foreign.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_selector("body[data-ready]", state="attached")
    assert errors == [] and foreign == []
    for slide in range(page.evaluate("Reveal.getSlides().length")):
        height, width, size, cut, text = page.evaluate("""(n) => {
            const slide = Reveal.getSlides()[n], at = Reveal.getIndices(slide);
            Reveal.slide(at.h, at.v);
            const cut = [...slide.querySelectorAll('mjx-container[display="true"], pre')]
                .filter((box) => box.scrollWidth > box.clientWidth + 2).length;
            return [slide.scrollHeight, slide.scrollWidth, parseFloat(slide.style.fontSize), cut,
                    slide.innerText];
        }""", slide)
        assert height <= 720 and width <= 1280, text
        assert cut == 0, text
        assert size >= 70, f"too small for the back row: {text}"
        assert "$" not in text or "\\" not in text, text
    formulas = sum(cell.source.count("$$") for cell in nbformat.read(
        ROOT / "notebooks" / f"{stem}.ipynb", 4).cells if cell.cell_type == "markdown")
    assert page.locator("mjx-container").count() > 0 or not formulas
    page.close()
