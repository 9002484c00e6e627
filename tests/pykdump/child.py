# SPDX-License-Identifier: GPL-3.0-or-later
"""PyKdump's side of a session: started as `python -I -S -X utf8=0 child.py ...` by host.py.

As released PyKdump has it (and its C source shows it): one interpreter for all commands, one
__main__ whose globals stay, a stale __file__, sys.argv[0] the path that was found, sys.path
set back after each program, streams that show only what was flushed, in the locale's
encoding. Once a program has imported pykdump.API, every program's output (as if redirected)
has banners around it. The module `crash` passes each question on to the parent and gets an
answer back.

Here only modules of PyKdump's list are used, since every other one is refused; and marshal,
which every Python has built in.
"""

from __future__ import annotations

import marshal
import os
import signal
import sys
import traceback
import types
from typing import Any, Dict, List, Optional, Sequence

QUESTIONS = int(sys.argv[1])
ANSWERS = int(sys.argv[2])
LIBRARY = sys.argv[3].split(os.pathsep)
"""Where this Python's own library is: what PyKdump has in the zip of its .so."""
PYKDUMPPATH = sys.argv[4].split(os.pathsep)
PATH = [".", *LIBRARY, *PYKDUMPPATH]
ALLOWED = frozenset(sys.argv[5].split())
MISSING = frozenset(sys.argv[6].split())
ASKS_GDB = frozenset(sys.argv[7].split())
EVERYWHERE = 2
"""The form of marshal that every Python writes and reads."""
LONGJMP = int(sys.argv[8])
"""The exit status that stands for a longjmp out of Python."""

BANNER = "== a program of pykdump.API ==\n==============================\n"
EXECUTION_TOOK = "** Execution took   0.01s (real)   0.01s (CPU)\n"


class Refusing:
    """Says of every module that PyKdump hasn't that there is no such module."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        top = name.split(".")[0]
        if name in MISSING or not (top in ALLOWED or top.startswith("_")):
            raise ModuleNotFoundError(f"No module named {name!r} (not in PyKdump)", name=name)


class Stream:
    """What isn't flushed is never seen."""

    encoding = "ascii"

    def __init__(self) -> None:
        self._waiting: List[bytes] = []

    @staticmethod
    def isatty() -> bool:
        return False

    def write(self, text: str) -> int:
        self._waiting.append(text.encode("ascii"))
        return len(text)

    def flush(self) -> None:
        data, self._waiting = b"".join(self._waiting), []
        answer = ask("show", data)
        if answer is not None:
            raise BrokenPipeError(*answer)


class Error(Exception):
    """crash.error"""


Error.__name__ = Error.__qualname__ = "error"
Error.__module__ = "crash"


def receive(size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = os.read(ANSWERS, size - len(data))
        if not part:
            os._exit(3)
        data += part
    return data


def ask(name: str, *args: Any) -> Any:
    """The parent's answer. Its exceptions are raised here, as those of the C module."""
    question = marshal.dumps((name, args), EVERYWHERE)
    os.write(QUESTIONS, len(question).to_bytes(8, "little"))
    while question:
        question = question[os.write(QUESTIONS, question) :]
    kind, value = marshal.loads(receive(int.from_bytes(receive(8), "little")))
    if kind == "error":
        raise Error(*value)
    if kind == "IndexError":
        raise IndexError(*value)
    if kind == "KeyboardInterrupt":
        os.kill(os.getpid(), signal.SIGINT)
    return value


def longjmp(_number: int, _frame: object) -> None:
    """crash's restart(): no exception, no finally, and the interpreter is done for."""
    os._exit(LONGJMP)


def of_gdb(name: str, *args: Any) -> Any:
    """A question that gdb answers: crash's handler of SIGINT is in place from then on."""
    signal.signal(signal.SIGINT, longjmp)
    return ask(name, *args)


def make_crash(functions: Sequence[str], constants: Dict[str, int]) -> types.ModuleType:
    module = types.ModuleType("crash")
    module.__dict__.update(constants, error=Error)
    for name in functions:
        asked = of_gdb if name in ASKS_GDB else ask
        setattr(module, name, lambda *args, _name=name, _ask=asked: _ask(_name, *args))
    return module


def banner(text: str) -> None:
    """What pykdump.API prints around a program, once it is there."""
    if "pykdump.API" in sys.modules:
        ask("show", text.encode())


def found(name: str) -> Optional[str]:
    """Where PyKdump finds the program: a directory of that name counts, and stops it."""
    for folder in [".", *PYKDUMPPATH]:
        for path in (f"{folder}/{name}", f"{folder}/{name}.py"):
            if os.path.exists(path):
                return path
    return name if os.path.isabs(name) and os.path.exists(name) else None


def run(scope: Dict[str, object], words: List[str]) -> None:
    path = found(words[0])
    if path is None:
        ask("show", f"Cannot find the program <{words[0]}>\n".encode())
        return
    if os.path.isdir(path):
        return
    sys.argv = [path, *words[1:]]
    stream: Any = Stream()
    sys.stdout = sys.stderr = stream
    signal.signal(signal.SIGINT, signal.default_int_handler)
    banner(BANNER)
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    try:
        exec(code, scope)
    except SystemExit:
        pass
    except BaseException:
        ask("show", traceback.format_exc().encode("ascii", "backslashreplace"))
    finally:
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        sys.path[:] = PATH
        banner(EXECUTION_TOOK)


def main() -> None:
    sys.path[:] = PATH
    sys.modules["crash"] = make_crash(*ask("crash"))
    refusing: Any = Refusing
    sys.meta_path.insert(0, refusing)
    for name in [name for name in sys.modules if name in MISSING or name == "site"]:
        del sys.modules[name]
    main_module = sys.modules["__main__"] = types.ModuleType("__main__")
    main_module.__file__ = "/nowhere/of/another/program.py"
    while True:
        words = ask("next")
        if words is None:
            break
        run(main_module.__dict__, words)


main()
