"""The bytes of a text file: unpacked, as UTF-8, with a separator of one byte."""

from __future__ import annotations

import codecs
import contextlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

Source = Path | zipfile.Path

STAND_IN = "\x1f"  # ASCII's "unit separator": for separators that are longer than a byte
LINE_ENDS = b"\r\n"
MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
LONGEST_LINE = 2**20  # of a header, in bytes
BLOCK = 2**23


@contextlib.contextmanager
def open_text(source: Source, encoding: str = "utf-8", separator: str = "") -> Iterator[Text]:
    """Read a file, or a member of an archive; gzip if its name ends in ``.gz``.

    Raises
    ------
    ValueError
        It is cut off or damaged.
    """
    try:
        with source.open("rb") as raw:
            packed = source.name.lower().endswith(".gz")
            yield Text(pa.CompressedInputStream(raw, "gzip") if packed else raw, source, encoding, separator)
    except (FileNotFoundError, PermissionError):
        raise
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{source} is cut off or damaged ({error}): copy it again") from error


class Text(io.RawIOBase):
    """A stream of UTF-8, without a mark at its start, where `STAND_IN` is a separator of several bytes.

    Attributes
    ----------
    seen : Quotes or None
        If set, counts what goes by.
    """

    def __init__(self, raw, source: Source, encoding: str, separator: str):
        self._raw, self._source, self._encoding, self._separator = raw, source, encoding, separator.encode()
        self._ahead, self._held, self._lines, self._begun = b"", b"", 1, False
        try:
            plain = codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii")
        except LookupError as error:
            raise ValueError(f"encoding={encoding!r}: expected one of Python's, such as 'latin-1'") from error
        self._decoder = None if plain else codecs.getincrementaldecoder(encoding)()
        self.seen: Quotes | None = None

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def readinto(self, buffer) -> int:
        """Fill a buffer; `io.BufferedReader` calls it."""
        block = self.read(len(buffer))
        buffer[:len(block)] = block
        return len(block)

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes; none at the end."""
        size = BLOCK if size is None or size < 0 else size
        while not self._ahead and (raw := self._raw.read(size)):
            self._ahead = self._converted(raw)
        if not self._ahead:
            self._ahead = self._rest()
        block, self._ahead = self._ahead[:size], self._ahead[size:]
        if self.seen is not None and block:
            self.seen.add(block)
        return block

    def first_line(self) -> bytes:
        """Take the first line that is not blank, without its end; nothing if there is none."""
        seen, self.seen = self.seen, None
        head = b""
        while len(head) < LONGEST_LINE and (block := self.read(LONGEST_LINE)):
            head += block
            if any(end in head.lstrip() for end in (b"\n", b"\r")):
                break
        self.seen = seen
        start = len(head) - len(head.lstrip())
        start = max(head.rfind(b"\n", 0, start), head.rfind(b"\r", 0, start)) + 1  # keep a blank first field
        line = head[start:].splitlines()[0] if head.strip() else b""
        if len(line) >= LONGEST_LINE:
            raise ValueError(f"{self._source}: no line ends in its first {LONGEST_LINE:,} bytes: expected a "
                             "table as text")
        self._ahead = head[start + len(line):].removeprefix(b"\r").removeprefix(b"\n") + self._ahead
        return line

    def _converted(self, raw: bytes) -> bytes:
        if not self._begun:
            self._begun = True
            other = next((name for mark, name in MARKS.items() if raw.startswith(mark)), None)
            if other and self._decoder is None:
                raise ValueError(f"{self._source} is not UTF-8: give encoding={other!r}")
            raw = raw.removeprefix(codecs.BOM_UTF8) if self._decoder is None else raw
        if self._decoder is not None:
            raw = self._decoded(raw)
        return self._with_stand_in(raw) if len(self._separator) > 1 else raw

    def _decoded(self, raw: bytes, final: bool = False) -> bytes:
        try:
            text = self._decoder.decode(raw, final)
        except UnicodeDecodeError as error:
            before = error.object[:error.start].decode(self._encoding, "ignore")
            raise ValueError(f"{self._source}, line {self._lines + before.count(chr(10))}: not "
                             f"{self._encoding} ({error.reason}): give another encoding=") from error
        self._lines += text.count("\n")
        return text.removeprefix("\ufeff").encode()

    def _with_stand_in(self, raw: bytes) -> bytes:
        if STAND_IN.encode() in raw:
            raise ValueError(f"{self._source} holds the control character {STAND_IN!r}, which stands for "
                             f"{self._separator.decode()!r} while it is read: remove it")
        raw = self._held + raw
        # The last bytes may be the beginning of a separator.
        kept = next((n for n in range(len(self._separator) - 1, 0, -1)
                     if raw.endswith(self._separator[:n])), 0)
        whole = raw.replace(self._separator, STAND_IN.encode())
        if not whole.endswith(self._separator[:kept]):
            kept = 0  # they were the end of one
        self._held = whole[len(whole) - kept:]
        return whole[:len(whole) - kept]

    def _rest(self) -> bytes:
        rest = self._decoded(b"", final=True) if self._decoder is not None else b""
        held, self._held = self._held, b""
        return held + rest


class Quotes:
    """Whether quotes in a text can mean more than one thing; looks at each byte once, without parsing.

    Attributes
    ----------
    any : bool
        There are quotes.
    odd : bool
        One stands neither beside a separator, nor at an end of a line, nor beside another.
    lines : int
        Lines that are not blank. Counted from the first block on, if that has quotes.
    """

    def __init__(self, quote: str, separator: str):
        self._quote = quote.encode()
        self._beside = np.zeros(256, bool)
        self._beside[list(LINE_ENDS + self._quote + separator.encode())] = True
        self._last, self._started = b"\n", False
        self.any = self.odd = False
        self.lines, self.tail = 0, b""

    def add(self, block: bytes) -> None:
        """Look at the next bytes."""
        if not self.any and self._quote in block:
            self.any, self.odd = True, self._started  # lines before this block were not counted
        self._started = True
        self.tail = block[-2**16:] if len(block) >= 2**16 else (self.tail + block)[-2**16:]
        if self.any:
            self._count(self._last + block)
        self._last = (self._last + block[-2:])[-2:]

    def end(self) -> None:
        """Look at the last byte, which had no neighbour until now."""
        if self.any:
            self._count(self._last + b"\n")

    def _count(self, window: bytes) -> None:
        """Bytes of a window but its first and last, which have no neighbours yet."""
        byte = np.frombuffer(window, np.uint8)
        end = (byte == LINE_ENDS[0]) | (byte == LINE_ENDS[1])
        self.lines += int(np.count_nonzero(~end[1:-1] & end[2:]))
        quotes = np.flatnonzero(byte[1:-1] == self._quote[0]) + 1
        self.odd |= bool((~self._beside[byte[quotes - 1]] & ~self._beside[byte[quotes + 1]]).any())
