# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that the user has named: the one place where commands open any.

Their paths are typed, never out of a dump. Each function raises OSError.
"""

from __future__ import annotations

import io
import os
from contextlib import contextmanager, redirect_stdout
from errno import EINVAL
from typing import Iterable, Iterator, Optional, TextIO

_PACKED = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)
"""How a compressed file begins: none of them is text."""


def read_text(name: str) -> str:
    """What is in a file of UTF-8, or of UTF-16 with a byte order mark.

    Bytes that are neither are replaced; lines end with "\\n". A compressed file is an OSError.
    """
    with open(name, "rb") as file:
        data = file.read()
    for magic, packed in _PACKED:
        if data.startswith(magic):
            raise OSError(EINVAL, f"compressed ({packed}): unpack it first", name)
    # Shells of other systems redirect in UTF-16. Only b"".decode() needs no module for it.
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = data.decode("utf-16" if wide else "utf-8", "replace")
    return text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def check_writable(name: str) -> None:
    """Whether a file can be written, asked before a long search; what is in it stays."""
    new = not os.path.exists(name)
    with open(name, "a", encoding="utf-8"):
        pass
    if new:
        os.unlink(name)


@contextmanager
def stdout_to(name: str) -> Iterator[None]:
    """What is written to sys.stdout takes the place of what was in the file.

    So does an answer without a line; but what was in it stays where an exception, as of wrong
    usage, comes before the first line.
    """
    file = _NewFile(name)
    try:
        with redirect_stdout(file):
            yield
        file.write("")
    finally:
        file.finish()


def write_lines(name: str, lines: Iterable[str]) -> None:
    """The lines take the place of what was in the file."""
    with open(name, "w", encoding="utf-8") as file:
        for line in lines:
            file.write(line + "\n")


class _NewFile(io.TextIOBase):
    """A file that is opened when something is written; finish() closes it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._file: Optional[TextIO] = None

    def write(self, text: str) -> int:
        if self._file is None:
            self._file = open(self._name, "w", encoding="utf-8")  # noqa: SIM115 - finish()
        return self._file.write(text)

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def finish(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
