# SPDX-License-Identifier: GPL-3.0-or-later
"""PyKdump as a host: what its module `crash` does beside giving answers, put right.

Three habits of a real one (PyKdump 3.5.3 in crash 8.0.2 and 8.0.6), each mended here and nowhere
else. After a question that gdb answers, Ctrl-C is a longjmp out of Python: crash's
gdb_interface() takes SIGINT and nobody gives it back. A readmem() that fails never frees its
buffer. A command is looked up by its file's name each time it is typed: in the current
folder first, then in PYKDUMPPATH.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, Callable, List, Tuple

_WITHOUT_GDB = frozenset(("readPtr", "readInt", "addr2sym", "addr2mod", "phys_to_page"))
_LARGEST_INT = 8
"""Bytes that readInt() takes."""
_PIECE_PAGES = 16
"""Pages that are probed, then read: fewer than crash keeps uncompressed, which is 32
(DISKDUMP_CACHED_PAGES in its diskdump.c), so that none is uncompressed twice."""


def is_pykdump(crash: Any) -> bool:
    """Whether a module `crash` is PyKdump's: its own command is among its programs."""
    return "epython" in crash.get_epython_cmds()


def take_sigint() -> None:
    """Make Ctrl-C a KeyboardInterrupt (again)."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class PyKdump:
    """The module `crash` of PyKdump, with its functions and constants."""

    def __init__(self, crash: Any) -> None:
        self.error = crash.error
        self.PAGESIZE: int = crash.PAGESIZE
        self._crash = crash
        self._read_int = crash.readInt
        self._readmem = crash.readmem

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._crash, name)
        if callable(found) and name not in _WITHOUT_GDB:
            found = _giving_sigint_back(found)
        setattr(self, name, found)
        return found

    def readmem(self, address: int, size: int) -> bytes:
        """Kernel memory; raises as the module's own does, and mostly without asking that."""
        if 0 < size <= _LARGEST_INT and not size & size - 1 and address:
            value: int = self._read_int(address, size)
            return (value & (1 << 8 * size) - 1).to_bytes(size, sys.byteorder)
        if not address or size <= 0:
            # Refused before it takes a buffer.
            return bytes(self._readmem(address, size))
        found = []
        piece = _PIECE_PAGES * self.PAGESIZE
        end = address + size
        while address < end:
            following = min(end, address // piece * piece + piece)
            for page in range(address // self.PAGESIZE * self.PAGESIZE, following, self.PAGESIZE):
                self._read_int(max(page, address), 1)
            data: bytes = self._readmem(address, following - address)
            found.append(data)
            address = following
        return found[0] if len(found) == 1 else b"".join(found)


def _giving_sigint_back(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        try:
            return function(*args)
        finally:
            take_sigint()

    return call


def offer(crash: Any, folder: str, pages: List[Tuple[str, str, str, str]]) -> List[str]:
    """Make the commands of a folder usable; what to say of those that aren't as usual.

    pages: of each command what register_epython_prog() takes. A command that PyKdump would not
    find by its name, or would find something else for, becomes an alias: its help page is
    then epython's, and `-h` shows its own.
    """
    said = []
    for page in pages:
        name = page[0]
        path = os.path.join(folder, f"{name}.py")
        other = _other(name, path)
        if other:
            said.append(f"{name}: {other} would be run for it; it is an alias now instead")
        elif _on_path(folder):
            crash.register_epython_prog(*page)
            continue
        refusal = _alias(crash, name, path)
        if refusal:
            said.append(f"{name}: {refusal}; start crash with PYKDUMPPATH={folder}")
    return said


def _alias(crash: Any, name: str, path: str) -> str:
    """Give a name to a program; why it can't be."""
    if path.split() != [path]:
        return f"{path}: a blank in it"
    try:
        said: str = crash.exec_crash_command(f"alias {name} epython {path}")
    except crash.error as error:
        # Nothing said is an exception, too.
        said = str(error)
    said = said.strip().partition("\n")[0]
    return said if said.startswith("alias: ") else ""


def _other(name: str, path: str) -> str:
    """What lies in the current folder and runs in place of the command."""
    for near in (name, f"{name}.py"):
        if os.path.isdir(near):
            return f"the directory ./{near}"
        if os.path.exists(near) and not os.path.samefile(near, path):
            return f"the file ./{near}"
    return ""


def _on_path(folder: str) -> bool:
    """Whether PyKdump looks for programs in a folder."""
    listed = filter(None, os.environ.get("PYKDUMPPATH", "").split(os.pathsep))
    return any(os.path.realpath(each) == os.path.realpath(folder) for each in [".", *listed])
