"""The book as one file: PDF and EPUB."""

import importlib.util
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urljoin, urlsplit
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
HTML = "{http://www.w3.org/1999/xhtml}"


def load(file: str):
    spec = importlib.util.spec_from_file_location(Path(file).stem, ROOT / "book" / file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("latex", [r"\hat B = \arg\min_B B",
                                   r"\begin{aligned} a &= b \\ c &= d \end{aligned}"])
def test_a_formula_becomes_well_formed_mathml(latex):
    mathml = load("_ext/single_files.py").formula(latex, "block")
    ElementTree.fromstring(mathml)
    assert "\\" not in mathml


def test_controls_leave_a_note(monkeypatch):
    extension = load("_ext/single_files.py")

    class App:
        class builder:
            name = "epub"

    source = ["Before.\n\n```{raw} html\n<script src='x'></script>\n```\n\n```{raw} html\n<b>\n```\n\nAfter."]
    extension.leave_out_controls(App, "book/tour", source)
    assert source == [f"Before.\n\n{extension.INSTEAD}After."]


def test_files_that_are_there_are_linked_and_no_others(tmp_path):
    extension = load("_ext/single_files.py")

    def shown() -> str:
        source = ["Before.\n\n<!-- downloads -->\n"]
        extension.show_downloads(SimpleNamespace(outdir=tmp_path), "book/running", source)
        return source[0]

    assert shown().strip() == "Before."
    for name in ("downloads/vaerec.pdf", "downloads/vaerec.epub", "slides/06-mvae.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        assert f'href="../{name}"' in shown()


@pytest.mark.parametrize("bookmark, heading", [
    ("StartStart", "Start"), ("Start", "Start"),
    ("autoencoders forrecommendation", "autoencoders for recommendation"),
    ("Who it is forWho it is for", "Who it is for"),
    ("targets of knownusers, allusers, all", "targets of known users, all"),
    ("Start of it", "Start of it"), ("Bye bye", "Bye bye"), ("Tom Tom", "Tom Tom"),
    ("of no heading", "of no heading")])
def test_a_bookmark_gets_the_words_of_its_heading(bookmark, heading):
    headings = ["", "Start", "autoencoders\nfor recommendation", "Who it is for", "Bye bye", "Tom", "Tom Tom",
                "targets of known users, all"]
    assert load("make_pdf.py").heading_of(bookmark, headings) == heading


def test_the_bookmarks_of_a_printed_page_are_its_headings(program, tmp_path):
    """Headings that break over lines, that move to the next page, and with code; MathJax has a stand-in."""
    from pypdf import PdfReader

    (tmp_path / "book").mkdir()
    filling = "<p style='height: 24cm'>x</p>"
    (tmp_path / "book" / "intro.html").write_text(
        "<script>MathJax = {startup: {promise: Promise.resolve()}}</script><article>"
        f"<h1>{'Many words in one heading ' * 5}<a class='headerlink' href='#'>#</a></h1>{filling}"
        f"<h2>Moved <code>on</code></h2><p>y</p>{filling}<h3>Deeper</h3><p>z</p></article>")
    # A process of its own: two Playwrights do not get on in one.
    target = tmp_path / "few.pdf"
    subprocess.run([sys.executable, ROOT / "book" / "make_pdf.py", tmp_path, target], check=True)
    titles = [entry["/Title"] for entry in flat(PdfReader(target).outline)]
    assert titles == [" ".join(["Many words in one heading"] * 5), "Moved on", "Deeper"]


@pytest.mark.slow
def test_the_epub_is_whole(epub):
    book = zipfile.ZipFile(epub)
    assert book.testzip() is None
    assert book.infolist()[0].filename == "mimetype"
    assert book.read("mimetype") == b"application/epub+zip"
    names = set(book.namelist())
    pages = {name: xhtml(book, name) for name in names if name.endswith(".xhtml")}
    ids = {name: {tag.get("id") for tag in page.iter()} for name, page in pages.items()}
    for name, page in pages.items():
        for image in page.iter(f"{HTML}img"):
            assert image.get("alt"), f"{name}: {image.get('src')}"
            assert urljoin(name, image.get("src")) in names, f"{name}: {image.get('src')}"
        for link in page.iter(f"{HTML}a"):
            target = urlsplit(urljoin(name, link.get("href", "")))
            if not target.scheme:
                assert unquote(target.path) in names, f"{name}: {link.get('href')}"
                assert not target.fragment or unquote(target.fragment) in ids[unquote(target.path)], \
                    f"{name}: {link.get('href')}"
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        page = book.read(f"notebooks/{path.stem}.xhtml").decode()
        assert not re.search(r"\\\(|\\\[", page), f"{path.stem}: a formula is left as its source"
        assert f"notebooks/{path.stem}.xhtml" in book.read("nav.xhtml").decode()
    assert book.read("notebooks/06-mvae.xhtml").count(b"<math") > 20


def xhtml(book: zipfile.ZipFile, name: str) -> ElementTree.Element:
    """A page of an EPUB, which must be well-formed XML."""
    return ElementTree.fromstring(book.read(name).decode().replace("&nbsp;", "\N{NO-BREAK SPACE}"))


@pytest.mark.slow
def test_the_pdf_is_whole(one_page, tmp_path):
    from pypdf import PdfReader

    load("make_pdf.py").main(one_page, tmp_path / "book.pdf")
    reader = PdfReader(tmp_path / "book.pdf")
    titles = " ".join(str(entry["/Title"]) for entry in flat(reader.outline))
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert path.stem.partition("-")[0].lstrip("0") in titles
    text = "".join(page.extract_text() for page in reader.pages)
    assert "Pencil box" in text and "Solution and wrong answers" in text
    assert "REPOSITORY, VERSION" not in text  # the first cell serves a notebook that runs
    assert not re.search(r"\\(frac|mathbb|begin)\b", text.partition("API")[0][:200_000])
    assert len(reader.pages) < 500


def flat(outline: list) -> list:
    """An outline without its nesting."""
    return [entry for item in outline for entry in (flat(item) if isinstance(item, list) else [item])]
