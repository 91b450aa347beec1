"""Print the single page of the book into one PDF. `make pdf` builds the page and calls this.

    python book/make_pdf.py _build/singlehtml _build/html/downloads/vaerec.pdf
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright
from pypdf import PdfWriter
from pypdf.generic import NameObject, TextStringObject

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update"]

# Paper cannot unfold. Boxes are printed open, except hints and solutions in a chapter: the page of
# all exercises has them too, so a link leads there, and the answer does not stand under the question.
UNFOLD = r"""() => {
  const page = [...document.querySelectorAll('section')].find(s => s.id === 'exercises'
    && s.querySelector('span[id^="exercise-"]'));
  let last = null;
  for (const node of document.querySelectorAll('article pre, article details')) {
    if (page && page.contains(node)) { node.open = true; continue; }
    if (node.tagName === 'PRE') {
      const call = node.innerText.match(/vr\.exercises\.(?:check|predict|reveal)\("([\w-]+)"/);
      last = call ? {anchor: 'exercise-' + call[1].toLowerCase()} : last;
    } else if (last && document.getElementById(last.anchor)
               && /^(Hint|Solution)/.test(node.querySelector('summary').innerText)) {
      if (!last.linked) {
        const line = document.createElement('p');
        line.innerHTML = `<a href="#${last.anchor}">Hint and solution</a>`;
        node.before(line);
        last.linked = true;
      }
      node.remove();
    } else {
      node.open = true;
    }
  }
}"""
# A formula that is wider than the page gets smaller: nobody can scroll it.
SHRINK = """() => {
  for (const formula of document.querySelectorAll('mjx-container[display="true"]')) {
    const room = formula.clientWidth / formula.querySelector('mjx-math').getBoundingClientRect().width;
    if (room < 1) formula.style.fontSize = `${room * parseFloat(getComputedStyle(formula).fontSize)}px`;
  }
}"""
HEADINGS = """() => [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(heading => {
  const copy = heading.cloneNode(true);
  copy.querySelectorAll('.headerlink').forEach(link => link.remove());
  return copy.textContent;
})"""
STYLE = """
  html { font-size: 85%; }
  .prev-next-footer, .bd-footer, .headerlink, #print-main-content, .copybtn { display: none !important; }
  .bd-article { padding: 0 !important; }
  span[id^="document-"] + section { break-before: page; }
  h1, h2, h3, h4, h5, summary, .cell_input { break-after: avoid; }
  figure, img, table, blockquote, .cell_input, .highlight { break-inside: avoid; }
  mjx-container[display="true"] { break-inside: avoid; }
  .highlight pre, .cell pre { white-space: pre-wrap !important; overflow-wrap: anywhere; font-size: 0.68rem; }
  table { font-size: 0.72rem !important; }
  td, th { padding: 0.1rem 0.4rem !important; }
  img { max-height: 23cm; object-fit: contain; }
"""
FOOTER = ('<div style="width: 100%; font-size: 8px; text-align: center">'
          '<span class="pageNumber"></span></div>')


def program() -> str:
    """The browser's file."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise SystemExit(f"this needs a browser, one of: {', '.join(BROWSERS)}")
    return found


def print_page(page: Path, target: Path) -> None:
    """Typeset ``page`` in a browser and print it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=QUIET)
        tab = browser.new_page(viewport={"width": 680, "height": 1000})  # what A4 has inside its margins
        tab.emulate_media(media="print")
        tab.set_default_timeout(300_000)
        tab.goto(page.resolve().as_uri(), wait_until="load")
        tab.evaluate(UNFOLD)
        tab.add_style_tag(content=STYLE)
        tab.evaluate("MathJax.startup.promise")
        tab.evaluate(SHRINK)
        headings = tab.evaluate(HEADINGS)
        target.parent.mkdir(parents=True, exist_ok=True)
        tab.pdf(path=target, format="A4", outline=True, tagged=True, display_header_footer=True,
                header_template="<span></span>", footer_template=FOOTER,
                margin={"top": "15mm", "bottom": "18mm", "left": "15mm", "right": "15mm"})
        browser.close()
    mend_bookmarks(target, headings)


def mend_bookmarks(pdf: Path, headings: list[str]) -> None:
    """Give every bookmark the words of its heading."""
    writer = PdfWriter(clone_from=pdf)
    for entry in bookmarks(writer.root_object.get("/Outlines", {})):
        entry[NameObject("/Title")] = TextStringObject(heading_of(entry["/Title"], headings))
    writer.write(pdf)


def bookmarks(parent):
    """The entries below a node of a PDF's outline, at any depth."""
    entry = parent.get("/First")
    while entry is not None:
        entry = entry.get_object()
        yield entry
        yield from bookmarks(entry)
        entry = entry.get("/Next")


def heading_of(bookmark: str, headings: list[str]) -> str:
    """The heading that Chromium made a bookmark of.

    It loses the blank where a line of the heading ends, and says the lines twice that it moved to
    the next page.
    """
    letters = "".join(bookmark.split())
    by_letters = {"".join(heading.split()): " ".join(heading.split()) for heading in headings}
    found = [letters] if letters in by_letters else [own for own in by_letters if stutters(letters, own)]
    return by_letters[found[0]] if found else bookmark


def stutters(letters: str, own: str) -> bool:
    """Is it a text with one part said twice?"""
    return 0 < len(own) < len(letters) and any(
        own.startswith(letters[:cut]) and own.endswith(letters[cut:]) for cut in range(len(letters)))


def main(site: Path, target: Path) -> None:
    # Sphinx writes all links of the single page as seen from the site's root.
    page = site / "index.html"
    shutil.copy(site / "book" / "intro.html", page)
    print_page(page, target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
