# SPDX-License-Identifier: GPL-3.0-or-later
"""PyKdump's built-in module `crash` over an image: same names, results and errors.

Measured behaviour of the real one: facts on PyKdump 3.x with crash 8.0.2 and 8.0.6.
It knows no slab. Deliberate differences: a read through UVADDR, which in crash jumps out of
Python without running any `finally`, is an exception here that no `except Exception` catches.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Type, Union

from mocks.image import Hole, Image


class CrashError(Exception):
    """crash.error: derived from Exception and nothing more special."""


class Longjmp(BaseException):
    """crash jumped out of the Python code. Code under test must never make this happen."""


Answer = Union[str, Callable[[str], str]]
"""A command's text, or what makes it from the command line."""


def _name(value: object) -> bool:
    return isinstance(value, str)


def _integer(value: object) -> bool:
    return isinstance(value, int)


def _checked(args: Sequence[Any], *kinds: Callable[[object], bool], optional: int = 0) -> None:
    if not len(kinds) - optional <= len(args) <= len(kinds):
        raise CrashError("invalid parameter type")
    if not all(kind(arg) for kind, arg in zip(kinds, args)):
        raise CrashError("invalid parameter type")


class FakeCrash(ModuleType):
    """The module. All functions take positional arguments only, as the C ones do."""

    error: Type[CrashError] = CrashError
    KVADDR = 1
    UVADDR = 2
    PHYSADDR = 4
    HZ = 250

    def __init__(self, image: Image) -> None:
        super().__init__("crash")
        self.image = image
        self.PAGESIZE = image.page_size
        self.commands: Dict[str, Answer] = {}
        """The first word of a command line, or all of it -> its answer."""
        self.gdb: Dict[str, str] = {}
        """get_GDB_output's answers."""
        self.typeinfo: Dict[str, Dict[str, Any]] = {}
        """gdb_typeinfo's and gdb_whatis's answers."""
        self.on_read: Optional[Callable[[int, int], None]] = None
        """Called with address and size before each read; may change memory, or raise."""
        self.pykdump = False
        """Whether it is PyKdump's; else our loader's, which has no command `epython`."""
        self.reads = 0
        self.bytes_read = 0
        self.commands_run: List[str] = []
        self.help_pages: Dict[str, Tuple[str, str, str]] = {}

    # symbols --------------------------------------------------------------------------

    def symbol_exists(self, *args: Any) -> int:
        return int(self.sym2addr(*args) != 0)

    def sym2addr(self, *args: Any) -> int:
        _checked(args, _name)
        if args[0] not in self.image.symbols:
            self.image.missing("symbol", args[0])
            return 0
        return self.image.symbols[args[0]]

    def sym2alladdr(self, *args: Any) -> List[int]:
        address = self.sym2addr(*args)
        return [address] if address else []

    def addr2sym(self, *args: Any) -> Any:
        """Strict: str or None. Loose: (str, offset) or (None, None)."""
        _checked(args, _integer, _integer, optional=1)
        found = self.image.symbol_at(args[0])
        if len(args) > 1 and args[1]:
            return found or (None, None)
        return found[0] if found and not found[1] else None

    def addr2mod(self, *args: Any) -> Optional[str]:
        _checked(args, _integer)
        for name, first, end in self.image.modules:
            if first <= args[0] < end:
                return name
        return None

    # memory ---------------------------------------------------------------------------

    def readmem(self, *args: Any) -> bytes:
        _checked(args, _integer, _integer, _integer, optional=1)
        address, size = args[0], args[1]
        memtype = args[2] if len(args) > 2 else self.KVADDR
        if not 0 <= address < 1 << 64:
            raise CrashError("invalid parameter type")
        if size <= 0:
            raise CrashError(f"invalid size {size}")
        if memtype == self.UVADDR:
            raise Longjmp("readmem of user memory without a current mm")
        if memtype == self.PHYSADDR:
            return self._fetch(address + self.image.page_offset, size)
        if memtype != self.KVADDR:
            raise CrashError("invalid parameter type")
        if address == 0:
            raise IndexError("readmem of address 0")
        return self._fetch(address, size)

    def readPtr(self, *args: Any) -> int:  # noqa: N802 - PyKdump's name
        _checked(args, _integer)
        return int.from_bytes(self.readmem(args[0], self.image.word), self.image.byteorder)

    def readInt(self, *args: Any) -> int:  # noqa: N802 - PyKdump's name
        _checked(args, _integer, _integer, _integer, optional=1)
        if args[0] == 0:
            raise CrashError("readInt of address 0")
        if args[1] not in (1, 2, 4, 8):
            raise CrashError("invalid parameter type")
        signed = bool(args[2]) if len(args) > 2 else False
        return int.from_bytes(self.readmem(args[0], args[1]), self.image.byteorder, signed=signed)

    def phys_to_page(self, *args: Any) -> Optional[int]:
        _checked(args, _integer)
        return self.image.phys_to_page(args[0])

    def _fetch(self, address: int, size: int) -> bytes:
        if self.on_read:
            self.on_read(address, size)
        self.reads += 1
        try:
            data = self.image.read(address, size)
        except Hole as hole:
            raise CrashError(f"readmem: {hole}") from None
        self.bytes_read += size
        return data

    # types ----------------------------------------------------------------------------

    def struct_size(self, *args: Any) -> int:
        _checked(args, _name)
        struct = self._struct(args[0])
        return self.image.sizeof(struct) if struct else -1

    def member_offset(self, *args: Any) -> int:
        _checked(args, _name, _name)
        struct = self._struct(args[0])
        found = self.image.member(struct, args[1]) if struct else None
        return found[0] if found else -1

    def member_size(self, *args: Any) -> int:
        _checked(args, _name, _name)
        struct = self._struct(args[0])
        found = self.image.member(struct, args[1]) if struct else None
        return found[1] if found else 0

    def enumerator_value(self, *args: Any) -> Optional[int]:
        _checked(args, _name)
        if args[0] not in self.image.enums:
            self.image.missing("enumerator", args[0])
        return self.image.enums.get(args[0])

    def _struct(self, name: str) -> Optional[str]:
        """The struct's name without "struct", None where there's none."""
        bare = _bare(name)
        if bare in self.image.structs:
            return bare
        self.image.missing("struct", bare)
        return None

    def gdb_typeinfo(self, *args: Any) -> Dict[str, Any]:
        if len(args) != 1 or args[0] not in self.typeinfo:
            raise CrashError("PyKdump/GDB error")
        return self.typeinfo[args[0]]

    def gdb_whatis(self, *args: Any) -> Dict[str, Any]:
        return self.gdb_typeinfo(*args)

    # commands -------------------------------------------------------------------------

    def exec_crash_command(self, *args: Any) -> str:
        """The text; CrashError(text) where crash failed or said nothing."""
        _checked(args, _name, _integer, optional=1)
        text = self._run(args[0])
        if not text:
            raise CrashError(text)
        return text

    def exec_crash_command_bg2(self, *args: Any) -> Tuple[int, int]:
        """(file descriptor to read, pid of the child to wait for)."""
        _checked(args, _name)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(reading)
                with os.fdopen(writing, "w") as out:
                    out.write(self._run(args[0]))
            finally:
                os._exit(0)
        os.close(writing)
        return reading, child

    def get_GDB_output(self, *args: Any) -> Optional[str]:  # noqa: N802 - PyKdump's name
        _checked(args, _name)
        return self.gdb.get(args[0])

    def _run(self, line: str) -> str:
        self.commands_run.append(line)
        words = line.split()
        answer = self.commands.get(line, self.commands.get(words[0] if words else ""))
        if answer is None:
            answer = self.image.commands.get(line)
        if answer is None:
            answer = self._builtin(words)
        if isinstance(answer, str):
            return answer
        try:
            return answer(line)
        except KeyboardInterrupt as stop:
            # Inside a command Ctrl-C becomes crash.error with the output so far.
            raise CrashError(*stop.args) from None

    def _builtin(self, words: List[str]) -> str:
        if not words:
            return ""
        if words[0] == "ptov" and len(words) == 2:
            return self._ptov(words[1])
        if words[0] == "log" and len(words) == 1:
            return self.image.log
        return f"crash: command not found: {words[0]}\n"

    def _ptov(self, word: str) -> str:
        try:
            physical = int(word, 16)
        except ValueError:
            raise CrashError(f"ptov: invalid address: {word}\n") from None
        width = 2 * self.image.word
        virtual = physical + self.image.page_offset
        return f"{'VIRTUAL':{width}}  PHYSICAL\n{virtual:0{width}x}  {physical:x}\n"

    # registered programs --------------------------------------------------------------

    def register_epython_prog(self, *args: Any) -> bool:
        """False, and a message, where the name is taken."""
        _checked(args, _name, _name, _name, _name)
        name, short, synopsis, text = args
        if name in self.help_pages:
            print(f"Command <{name}> is already registered")
            return False
        self.help_pages[name] = (short, synopsis, text)
        return True

    def get_epython_cmds(self, *args: Any) -> List[str]:
        _checked(args)
        return [*(["epython"] if self.pykdump else []), *self.help_pages]


def _bare(struct: str) -> str:
    for kind in ("struct ", "union "):
        if struct.startswith(kind):
            return struct[len(kind) :]
    return struct


@contextmanager
def install(fake: FakeCrash) -> Iterator[FakeCrash]:
    """`import crash` gives the fake while the context lasts."""
    before = sys.modules.get("crash")
    sys.modules["crash"] = fake
    try:
        yield fake
    finally:
        if before is None:
            del sys.modules["crash"]
        else:
            sys.modules["crash"] = before
