"""What every committed chapter keeps to: fresh outputs, portable text, and its limits."""

import re
import tomllib

import pytest
import run
import yaml

import vaerec

STEMS = sorted(path.stem for path in run.NOTEBOOKS.glob("*.ipynb"))

FOLDED = re.compile(r"<details.*?</details>", re.DOTALL)
CODE_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
DISPLAYED = re.compile(
    r"\$\$.+?\$\$|\\begin\{(equation|align|gather)(\*?)\}.+?\\end\{\1\2\}", re.DOTALL)
INLINE = re.compile(r"\$[^$\n]+(?:\n[^$\n]+)*\$")
IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)|<img[^>]*>|<svg.*?</svg>", re.DOTALL)
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)|<https?://[^>]*>")
TAG = re.compile(r"</?[a-zA-Z!][^>]*>", re.DOTALL)
MYST = re.compile(r"^(?:`{3,}|:{3,})\{|\{[a-z:-]+\}`|^\([\w-]+\)=$", re.MULTILINE)
DECIMAL = re.compile(r"(?<![\w.])\d*\.\d+")


def markdown(notebook) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def visible(text: str) -> str:
    """What a reader sees before opening anything, with a formula as one word."""
    text = IMAGE.sub("", FOLDED.sub("", text))
    text = INLINE.sub("x", DISPLAYED.sub("", CODE_BLOCK.sub("", text)))
    return TAG.sub("", LINK.sub(r"\1", text))


def words(text: str) -> int:
    return len(re.findall(r"\w[\w'’.,-]*", text))


def paragraphs(text: str) -> list[str]:
    """Blocks between blank lines; each list item, quoted line and table row by itself."""
    return re.split(r"\n\s*\n|\n(?=\s*(?:[-*+|>]|\d+\.) ?)", text)


def typed_decimals(text: str) -> list[str]:
    """Decimal fractions outside formulas, links and the addresses of images."""
    for pattern in (CODE_BLOCK, DISPLAYED, INLINE, IMAGE, LINK, TAG):
        text = pattern.sub(" ", text)
    return DECIMAL.findall(text)


@pytest.fixture(params=STEMS, scope="module")
def notebook(request):
    return run.read(request.param)


@pytest.fixture
def stem(request) -> str:
    return request.node.callspec.params["notebook"]


def test_profiles_contents_and_files_name_the_same_chapters():
    contents = yaml.safe_load((run.ROOT / "_toc.yml").read_text())
    listed = [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
    in_book = [name.removeprefix("notebooks/") for name in listed if name.startswith("notebooks/")]
    assert list(run.chapters()) == in_book == STEMS


def test_the_parameters_are_those_of_the_full_profile(notebook, stem):
    assert run.parameters_of(notebook) == run.chapters()[stem]["full"]


def test_the_quick_profile_sets_only_names_that_exist(notebook, stem):
    assert set(run.chapters()[stem]["quick"]) <= set(run.parameters_of(notebook))


def test_the_switch_in_the_notebook_sets_the_quick_profile(notebook, stem):
    (switch,) = [c.source for c in run.code_cells(notebook) if c.source.startswith("if profile ==")]
    full, quick = run.chapters()[stem]["full"], run.chapters()[stem]["quick"]
    values = full | {"profile": "quick"}
    exec(switch, {}, values)
    assert run.plain(values) == full | quick


def test_the_first_cell_installs_this_version_from_this_repository(notebook):
    project = tomllib.loads((run.ROOT / "pyproject.toml").read_text())
    address = project["tool"]["vaerec"]["repository"]
    first = run.code_cells(notebook)[0]
    assert f'REPOSITORY, VERSION, PACKAGE = "{address}", "v{vaerec.__version__}", "vaerec' in first.source
    assert "hide-cell" in first.metadata["tags"]


def test_the_outputs_belong_to_the_code(notebook, stem):
    mark = notebook.metadata.get("vaerec", {})
    assert mark.get("profile") == "full"
    assert mark["code_hash"] == run.code_hash(notebook), (
        f"the code changed after the last run: make notebooks PROFILE=full ONLY={stem}")


def test_the_stated_minutes_are_those_that_it_took(notebook):
    (stated,) = re.findall(r"full_minutes=([\d.]+)", run.code_cells(notebook)[0].source)
    values = run.recorded(notebook)
    if values["threads"] < 2:
        pytest.skip("it was run on one thread, and the minutes are stated for two")
    assert float(stated) / 3 < values["seconds"] / 60 <= float(stated)


def test_every_cell_ran_in_order(notebook):
    counts = [cell.execution_count for cell in run.code_cells(notebook) if cell.source.strip()]
    assert counts == list(range(1, len(counts) + 1))


def test_no_output_is_an_error_a_warning_or_a_widget(notebook):
    for cell in run.code_cells(notebook):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text[:200]
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {})


def test_nothing_of_a_run_is_kept_but_its_outputs(notebook):
    for node in (notebook, *notebook.cells):
        assert set(node.metadata) & set(run.RUN_METADATA) == set()
        assert "injected-parameters" not in node.metadata.get("tags", [])


def test_the_text_is_portable(notebook):
    for text in markdown(notebook):
        assert not MYST.search(text), text[:200]


def test_no_number_in_the_text_is_typed_by_hand(notebook):
    found = [(n, text[:60]) for text in markdown(notebook) for n in typed_decimals(text)]
    assert found == []


def test_displayed_formulas_stand_alone(notebook):
    # Inside a paragraph the book reads them as part of its line, or not at all.
    found = [text for text in markdown(notebook) for piece in text.split("\n\n")
             if "$$" in piece and not re.fullmatch(r"\s*\$\$.*\$\$\s*(</details>\s*)?", piece, re.DOTALL)]
    assert found == []


def test_a_diagram_says_that_it_is_no_code_and_fits_the_page(notebook):
    # Without a language the book colours its words as Python.
    fences = [match for text in markdown(notebook)
              for match in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)]
    assert all(language for language, _ in fences)
    wide = [line for language, body in fences if language == "text"
            for line in body.splitlines() if len(line) > 79]
    assert wide == []


def test_a_chapter_leads_to_the_glossary(notebook):
    assert "](../book/notation.md)" in notebook.cells[0].source


def test_each_word_of_the_glossary_leads_to_a_chapter():
    page = (run.ROOT / "book" / "notation.md").read_text(encoding="utf-8")
    (words_of_it,) = re.findall(r"```\{glossary\}\n(.*?)```", page, re.DOTALL)
    entries = words_of_it.strip().split("\n\n")
    linked = [re.findall(r"\]\(\.\./notebooks/([\w-]+)\.ipynb\)", entry) for entry in entries]
    assert len(entries) > 20 and all(set(stems) & set(STEMS) for stems in linked)


def test_a_chapter_on_movielens_names_its_terms(notebook, stem):
    uses = any(str(value).startswith("ml-") for value in run.chapters()[stem]["full"].values())
    opening = notebook.cells[0].source
    assert ("commercial use" in opening and "ml-1m-README.txt" in opening) == uses


def test_images_have_a_description(notebook):
    for text in markdown(notebook):
        assert "![](" not in text
        assert all("alt=" in image for image in re.findall(r"<img[^>]*>", text))


def test_no_star_import_and_no_long_cell(notebook):
    for cell in run.code_cells(notebook):
        assert len(cell.source.splitlines()) <= 40
        assert not re.search(r"^\s*from \S+ import \*", cell.source, re.MULTILINE)


def test_the_limits_of_a_chapter(notebook):
    texts = [visible(text) for text in markdown(notebook)]
    # The first cell is the same everywhere, folded, and nothing to study.
    lines = [line for cell in run.code_cells(notebook)[1:] for line in cell.source.splitlines()]
    drawn = [output for cell in run.code_cells(notebook) for output in cell.outputs
             if any(kind.startswith("image/") for kind in output.get("data", {}))]
    shown = [FOLDED.sub("", text) for text in markdown(notebook)]
    counted = {
        "visible words": (sum(map(words, texts)), 2200),
        "code lines": (sum(bool(line.strip()) for line in lines), 250),
        "figures": (len(drawn) + sum(len(IMAGE.findall(text)) for text in shown), 7),
        "displayed equations": (sum(len(DISPLAYED.findall(text)) for text in shown), 6),
    }
    assert {name: pair for name, pair in counted.items() if pair[0] > pair[1]} == {}
    long = [p.strip()[:80] for text in texts for p in paragraphs(text) if words(p) > 90]
    assert long == []


# The rules above are only worth something if they see what they look for.

def test_typed_decimals_are_seen():
    assert typed_decimals("NDCG rose to .426, then 0.43") == [".426", "0.43"]
    other = "$\\beta = .2$, [v0.1.2](https://a.b/0.3), $$x = 1.5$$, step 3. Next"
    assert typed_decimals(other) == []


def test_visible_words_leave_out_what_is_folded():
    folded = "<details><summary>Proof</summary>\n\nthree four\n\n</details>"
    text = f"One two $x_u + 1$.\n\n{folded}\n\n$$y$$\n"
    assert words(visible(text)) == 3


def test_myst_is_seen():
    for text in (":::{note}", "```{figure} a", "see {numref}`a`", "(label)="):
        assert MYST.search(text)
    assert not MYST.search("a set {a} and `code`, $\\{x\\}$")
