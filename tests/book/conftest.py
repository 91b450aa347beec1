"""The built book, served to a real browser."""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest
import repository

from tests.copies import build_book, copy_tree

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The book as a fork's CI builds it, once ``make repository`` has written its address."""
    fork = copy_tree(tmp_path_factory.mktemp("fork"))
    repository.write("https://github.com/reader/fork", fork)
    return build_book(fork, tmp_path_factory.mktemp("book"), "reader/fork")


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


@pytest.fixture(scope="session")
def browser(program):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync"]
        browser = playwright.chromium.launch(executable_path=program, args=quiet)
        yield browser
        browser.close()
