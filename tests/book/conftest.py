"""The built book, served to a real browser."""

import functools
import hashlib
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest
import repository
from filelock import FileLock

from tests.copies import build_book, copy_tree

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "_build" / "tested"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def sources() -> str:
    """SHA-256 of all that a build could read: the repository without its tests and what is generated."""
    digest = hashlib.sha256()
    tops = [path for path in ROOT.iterdir() if not path.name.startswith((".", "_build", "tests"))]
    files = {file for top in tops for file in (top.rglob("*") if top.is_dir() else [top])}
    for file in sorted(file for file in files if file.is_file() and "__pycache__" not in file.parts):
        digest.update(f"{file.relative_to(ROOT).as_posix()}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def built(builder: str) -> Path:
    """The book as a fork's CI builds it, once `make repository` has written its address.

    It is built once for all workers, and again only when a file changed.
    """
    folder = BUILT / sources()[:16]
    done = folder / f"{builder}.done"
    BUILT.mkdir(parents=True, exist_ok=True)
    with FileLock(BUILT / "lock"):
        for other in set(BUILT.glob("*/")) - {folder}:
            shutil.rmtree(other)
        if not done.exists():
            fork = folder / "fork"
            if not fork.exists():
                repository.write("https://github.com/reader/fork", copy_tree(fork))
            build_book(fork, folder, "reader/fork", builder)
            done.touch()
    return folder / "_build" / builder


@pytest.fixture(scope="session")
def site() -> Path:
    return built("html")


@pytest.fixture(scope="session")
def one_page() -> Path:
    """The book for the PDF."""
    return built("singlehtml")


@pytest.fixture(scope="session")
def epub() -> Path:
    return built("epub") / "vaerec.epub"


@pytest.fixture(scope="session")
def address(site):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def program() -> str:
    """The browser's file."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip  # CI looks, or does not pass
        give_up(f"needs a browser, one of: {', '.join(BROWSERS)}")
    return program


def patient(make):
    """``make``, whose contexts and pages wait longer than Playwright's 30 seconds."""
    def made(**options):
        one = make(**options)
        one.set_default_timeout(180_000)
        return one
    return made


@pytest.fixture(scope="session")
def browser(program):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync"]
        browser = playwright.chromium.launch(executable_path=program, args=quiet)
        # Pages load beside other tests: the limit only ends what hangs.
        for name in ("new_context", "new_page"):
            setattr(browser, name, patient(getattr(browser, name)))
        yield browser
        browser.close()
