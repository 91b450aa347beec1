"""Get a file from the first of several sources whose copy has the right checksum.

pooch downloads and compares the checksum; only then does the file get its name. So what has the name
is whole, whatever happens to the connection, the disk or the process.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout
from tqdm.std import tqdm  # text: a widget would stay empty in a saved notebook

TIMEOUT = 30  # seconds without a connection or without a byte
CHUNK = 2**17  # bytes between two steps of the progress bar
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def fetch(urls: Sequence[str], target: Path, sha256: str, *, timeout: float = TIMEOUT,
          progress: bool = True) -> Path:
    """Download a file, unless ``target`` has the checksum already.

    Two processes that call this at once do not disturb each other: the second waits for the first.

    Parameters
    ----------
    urls : sequence of str
        Sources of the same file, tried in turn.
    target : Path
        The file. Beside it lie a lock and, during a download, the folder ``<target>.part``.
    sha256 : str
        Checksum, 64 hexadecimal digits.
    timeout : float
        Seconds a source may be silent.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Path
        ``target``.

    Raises
    ------
    ConnectionError
        No source gave the file; its message has a line for each of them.
    OSError
        The folder of ``target`` cannot be written, or its disk is full.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.with_name(target.name + ".lock")):
            if not (target.is_file() and sha256_of(target) == sha256):
                _fetch(urls, target, sha256, timeout, progress)
    except OSError as error:
        if isinstance(error, ConnectionError):
            raise
        reason = "the disk is full" if error.errno in DISK_FULL else error.strerror or str(error)
        raise OSError(error.errno, f"cannot write {target}: {reason}") from error
    return target


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock, which the system frees even when the process is killed."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"Waiting for another process that downloads {path.stem} ...", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fetch(urls: Sequence[str], target: Path, sha256: str, timeout: float, progress: bool) -> None:
    # Imported here: most loads need neither, and pooch warns in notebooks that have no widgets.
    with warnings.catch_warnings(action="ignore"):
        import pooch
    from requests import RequestException

    pooch.get_logger().setLevel("WARNING")
    drafts = target.with_name(target.name + ".part")
    tried = []
    for url in urls:
        shutil.rmtree(drafts, ignore_errors=True)  # of a process that was killed: the lock is ours
        drafts.mkdir()
        bar = tqdm(total=1, unit="B", unit_scale=True, desc=target.name, disable=not progress)
        try:
            downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=CHUNK, timeout=timeout)
            draft = pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname=target.name, path=drafts,
                                   downloader=downloader)
            Path(draft).replace(target)
            return
        except RequestException as error:
            tried.append(f"{url}: {_in_short(error)}")
        except ValueError as error:  # pooch's answer to another checksum
            tried.append(f"{url}: its content is not that of {target.name}, the checksum differs "
                         f"({str(error).split('.')[0]})")
        finally:
            bar.close()
            shutil.rmtree(drafts, ignore_errors=True)
    raise ConnectionError("\n".join(tried))


def _in_short(error: Exception) -> str:
    """The innermost reason of an error of requests, which wraps those of other libraries."""
    reason: BaseException = error
    while reason.__context__ or (reason.args and isinstance(reason.args[0], BaseException)):
        inner = reason.args[0] if reason.args and isinstance(reason.args[0], BaseException) else None
        reason = inner or reason.__context__
    text = " ".join(str(reason).split()) or type(reason).__name__
    return f"{type(error).__name__}: {text[:200]}"
