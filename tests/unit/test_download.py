"""Downloads against a local server that does what servers do on a bad day."""

import contextlib
import datetime
import errno
import functools
import hashlib
import http.server
import io
import os
import re
import signal
import ssl
import stat
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pooch
import pytest

from vaerec.datasets import download, movielens

CONTENT = os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Answers by the first part of the path; counts what it is asked for."""

    daemon_threads = True

    def __init__(self, content: bytes = CONTENT):
        self.content, self.asked = content, []
        super().__init__(("127.0.0.1", 0), Handler)
        self.scheme = "http"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """Say nothing of connections that the test cut."""

    def url(self, what: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}/{what}/ml-1m.zip"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        what = self.path.split("/")[1]
        self.server.asked.append(what)
        content = self.server.content
        if what.isdigit():  # a status
            self.send_error(int(what))
        elif what == "loop":
            self.send_response(302)
            self.send_header("Location", self.path)
            self.end_headers()
        elif what == "page":  # a friendly error page with status 200
            self.answer(b"<html>temporarily moved</html>")
        elif what == "silent":
            time.sleep(3)
        elif what.startswith("cut"):
            self.answer(content, content[:int(len(content) * int(what[3:]) / 100)])
        elif what.startswith("unsized"):  # cut, and the length was never told
            self.answer(content, content[:len(content) // 2], sized=False)
        elif what == "slow":
            for start in range(0, len(content), 30_000):
                self.answer(content if start == 0 else None, content[start:start + 30_000])
                time.sleep(0.1)
        else:
            self.answer(content)

    def answer(self, content, sent=None, sized=True):
        if content is not None:
            self.send_response(200)
            if sized:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
        self.wfile.write(content if sent is None else sent)

    def log_message(self, *_):
        """Keep quiet."""


@pytest.fixture
def server():
    with contextlib.closing(Server()) as server:
        yield server
        server.shutdown()


# closing() calls this
Server.close = http.server.ThreadingHTTPServer.server_close


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "cache" / "ml-1m.zip"


get = functools.partial(download.fetch, sha256=SHA256, timeout=1, progress=False)


def nothing_is_left(target: Path) -> bool:
    """Nothing but the lock: no file that a later call could take for the whole one."""
    return {path.name for path in target.parent.iterdir()} <= {target.name + ".lock"}


def test_a_good_source(server, target, capsys):
    assert get([server.url("good")], target).read_bytes() == CONTENT
    get([server.url("good")], target)
    assert server.asked == ["good"]  # the second call found the file
    assert {path.name for path in target.parent.iterdir()} == {"ml-1m.zip", "ml-1m.zip.lock"}


def test_a_file_that_rotted_is_downloaded_again(server, target):
    target.parent.mkdir()
    target.write_bytes(CONTENT[:-1])
    assert get([server.url("good")], target).read_bytes() == CONTENT


def test_the_progress_bar(server, target, capfd):
    get([server.url("good")], target, progress=True)
    assert "100%" in capfd.readouterr().err


FAULTS = {**{f"cut{share}": "ChunkedEncodingError: .*IncompleteRead" for share in range(10, 100, 10)},
          "cut0": "ConnectionError|ChunkedEncodingError", "unsized": "checksum differs", "404": "404",
          "500": "500", "page": "checksum differs", "loop": "TooManyRedirects: Exceeded 30 redirects",
          "silent": "ReadTimeout: .*timed out"}


@pytest.mark.parametrize("fault, message", FAULTS.items())
def test_a_fault_is_told_and_leaves_nothing(server, target, fault, message):
    with pytest.raises(ConnectionError, match=f"127.0.0.1:{server.server_port}/{fault}.*({message})"):
        get([server.url(fault)], target)
    assert nothing_is_left(target)


@pytest.mark.parametrize("fault", ["cut50", "404", "500", "page", "loop", "silent"])
def test_the_second_source_is_asked_when_the_first_fails(server, target, fault):
    assert get([server.url(fault), server.url("good")], target).read_bytes() == CONTENT
    assert server.asked[-1] == "good"


def test_a_host_that_does_not_answer(target, server):
    port = server.server_port
    server.shutdown()
    server.server_close()
    with pytest.raises(ConnectionError, match=f"127.0.0.1:{port}.*refused"):
        get([server.url("good")], target)
    assert nothing_is_left(target)


@pytest.fixture(scope="module")
def expired(tmp_path_factory) -> tuple[Path, Path]:
    """Certificate and key for 127.0.0.1, valid until yesterday; trusted, so only the date is wrong."""
    x509 = pytest.importorskip("cryptography.x509", reason="makes certificates")
    import ipaddress

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    own_address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - 30 * day).not_valid_after(now - day)
        .add_extension(x509.SubjectAlternativeName([own_address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256()))
    folder = tmp_path_factory.mktemp("certificate")
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return folder / "cert.pem", folder / "key.pem"


def test_an_expired_certificate_leads_to_the_second_source(server, target, expired, monkeypatch):
    """What happened to GroupLens on 28 August 2026."""
    certificate, key = expired
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with contextlib.closing(Server()) as secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        secure.socket = context.wrap_socket(secure.socket, server_side=True)
        secure.scheme = "https"
        with pytest.raises(ConnectionError, match="SSLError: .*certificate has expired"):
            get([secure.url("good")], target)
        assert nothing_is_left(target)
        assert get([secure.url("good"), server.url("good")], target).read_bytes() == CONTENT
        secure.shutdown()


class FullDisk(io.BytesIO):
    def write(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk(server, target, monkeypatch):
    """Simulated: pooch's file refuses to be written to."""
    class Full(pooch.HTTPDownloader):
        def __call__(self, url, output_file, pooch, check_only=False):
            Path(output_file).write_bytes(b"half")
            return super().__call__(url, FullDisk(), pooch)

    monkeypatch.setattr(pooch, "HTTPDownloader", Full)
    with pytest.raises(OSError, match=f"cannot write {target}: the disk is full") as error:
        get([server.url("good"), server.url("good")], target)
    assert error.value.errno == errno.ENOSPC and not isinstance(error.value, ConnectionError)
    assert server.asked == ["good"]  # another source would not help
    assert nothing_is_left(target)


def test_no_permission_to_write(server, target, monkeypatch):
    """Simulated, since whoever runs the tests may be root."""
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(PermissionError, match=f"cannot write {target}: Permission denied"):
        get([server.url("good")], target)
    assert server.asked == [] and not target.parent.exists()


CHILD = f"""
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("download", {download.__file__!r})  # without torch: fast
download = importlib.util.module_from_spec(spec)
spec.loader.exec_module(download)
download.fetch([sys.argv[1]], Path(sys.argv[2]), sys.argv[3], progress=False)
"""


def in_a_process(url: str, target: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", CHILD, url, str(target), SHA256],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


@pytest.mark.process
def test_two_processes_at_once_download_once(server, target):
    first = in_a_process(server.url("slow"), target)
    wait_for(lambda: server.asked)
    second = in_a_process(server.url("slow"), target)
    outputs = [process.communicate(timeout=60) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert target.read_bytes() == CONTENT and server.asked == ["slow"]


@pytest.mark.process
def test_a_killed_download_leaves_nothing_that_is_trusted(server, target):
    process = in_a_process(server.url("slow"), target)
    drafts = target.with_name("ml-1m.zip.part")
    wait_for(lambda: any(path.stat().st_size > 0 for path in drafts.glob("*")))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not target.exists() and any(drafts.iterdir())
    assert get([server.url("good")], target).read_bytes() == CONTENT  # the lock died with its holder
    assert not drafts.exists()


# What the archive holds matters only once its checksum holds. Here it is pinned to hostile ones.

def release(tmp_path, monkeypatch, members: dict) -> movielens.Places:
    """A cache with an archive of these members, pinned as if it were ML-1M's; its sources are dead."""
    places = movielens.Places(None, tmp_path / "kaggle", tmp_path / "cache")
    places.cache.mkdir()
    archive = places.cache / "ml-1m.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    pin(archive, monkeypatch)
    return places


def pin(archive: Path, monkeypatch) -> None:
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
    layout = movielens.Layout("ratings.dat", "movies.dat", "::", 2, "users.dat", (1, 5),
                              ("http://127.0.0.1:9/ml-1m.zip",), checksum)
    monkeypatch.setitem(movielens.LAYOUTS, "ml-1m", layout)


GOOD = {"ml-1m/ratings.dat": "1::7::4::1\n2::7::4::1\n", "ml-1m/movies.dat": "7::Seven::Drama\n"}


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize("members, message", [
    ({"ml-1m/../../evil.txt": "x"}, "'ml-1m/../../evil.txt' points outside"),
    ({"../evil.txt": "x"}, "'../evil.txt' points outside"),
    ({"/etc/evil.txt": "x"}, "'/etc/evil.txt' points outside"),
    ({"C:\\evil.txt": "x"}, "evil.txt' points outside"),
    ({link("ml-1m/users.dat"): "/etc/passwd"}, "'ml-1m/users.dat' is a link"),
    ({"ml-1m/movies.dat": "0" * 3_000_000}, "would take 3,000,000 bytes, more than any file of ml-1m"),
])
def test_hostile_archives_are_refused_and_nothing_is_written(tmp_path, monkeypatch, members, message):
    places = release(tmp_path, monkeypatch, GOOD | members)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=f"{re.escape(message)}.*refused"):
        movielens.load_movielens("ml-1m", places)
    after = {path for path in tmp_path.rglob("*") if not path.name.endswith(".lock")}
    assert after <= set(before)


def test_a_zip_bomb_that_lies_about_its_size(tmp_path, monkeypatch):
    """Its header declares 20 bytes; it would unpack to 3 MB."""
    places = release(tmp_path, monkeypatch, GOOD | {"ml-1m/ratings.dat": "1::7::4::1\n" * 300_000})
    archive = places.cache / "ml-1m.zip"
    content = archive.read_bytes()
    size = (3_300_000).to_bytes(4, "little")
    assert content.count(size) == 2  # in the member's own header and in the directory
    archive.write_bytes(content.replace(size, (20).to_bytes(4, "little")))
    pin(archive, monkeypatch)
    with pytest.raises(ValueError, match=r"ratings\.dat is damaged \(Bad CRC-32"):
        movielens.load_movielens("ml-1m", places)


def test_the_terms_are_shown_with_the_download_and_not_again(tmp_path, monkeypatch, capsys):
    places = release(tmp_path, monkeypatch, GOOD)
    archive = (places.cache / "ml-1m.zip")
    content = archive.read_bytes()
    archive.unlink()
    with contextlib.closing(Server(content)) as server:
        layout = movielens.LAYOUTS["ml-1m"]
        monkeypatch.setitem(movielens.LAYOUTS, "ml-1m", movielens.Layout(
            layout.ratings, layout.movies, "::", 2, None, (1, 5), (server.url("404"), server.url("good")),
            layout.sha256))
        log = movielens.load_movielens("ml-1m", places)
        first = capsys.readouterr().out
        assert log.official and "GroupLens" in first and "Harper" in first and "10.1145/2827872" in first
        assert movielens.load_movielens("ml-1m", places).fingerprint == log.fingerprint
        assert capsys.readouterr().out == "" and server.asked == ["404", "good"]
        server.shutdown()
