"""Takes the still picture of each widget from the built book: ``python book/make_stills.py _build/html``.

It stands where scripts do not run (PDF, EPUB, a browser without them) and on the page "Play". What is clicked
before is the ``pose`` in widget.yaml.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

BOOK = Path(__file__).resolve().parent
sys.path[:0] = [str(BOOK), str(BOOK / "_ext")]
import widgets  # noqa: E402 - scripts of this repository
from make_pdf import QUIET, program  # noqa: E402

SCALE = 1.5  # pixels of the picture for each of the page
COLOURS = 128  # enough for flat drawings, and a third of the bytes
SETTLED = 800  # milliseconds: longer than any movement


def take(browser, site: Path, widget: widgets.Widget) -> None:
    """Pose, picture, fewer colours."""
    tab = browser.new_page(viewport={"width": 1280, "height": 1000}, device_scale_factor=SCALE,
                           color_scheme="light", reduced_motion="reduce")
    tab.goto((site / f"{widget.pages[0]}.html").as_uri(), wait_until="load")
    for selector in widget.pose:
        tab.locator(selector).first.click()
    tab.mouse.move(0, 0)
    tab.wait_for_timeout(SETTLED)
    shot = tab.locator(widget.element or f"#widget-{widget.name} .widget-body").screenshot()
    tab.close()
    image = Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE)
    image.save(widget.still, optimize=True)
    print(f"{widget.still.relative_to(BOOK.parent)}: {widget.still.stat().st_size:,} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("site", type=Path, help="the built book, such as _build/html")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="such as pick-films")
    options = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=QUIET)
        for widget in widgets.everything():
            if not options.only or widget.name in options.only:
                take(browser, options.site.resolve(), widget)
        browser.close()


if __name__ == "__main__":
    main()
