# SPDX-License-Identifier: GPL-3.0-or-later
"""A session of PyKdump: the parent's half, which has the dump.

It knows what PyKdump's Python has and how its programs are found and run (child.py), and
answers the module `crash` out of a FakeCrash.
"""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from mocks.crash_module import CrashError, FakeCrash
from tests.unit.test_house_stdlib import ALWAYS_THERE, MISSING_INSIDE

CHILD = Path(__file__).with_name("child.py")
PACKAGE = Path(__file__).resolve().parents[2] / "crash_ext"

HELPERS = """
    copyreg encodings genericpath ntpath nturl2path opcode posixpath reprlib sre_compile
    sre_constants sre_parse token urllib collections importlib re
"""
"""What modules of the list consist of; some are known to Python 3.8 only, or from 3.11 on."""

_FUNCTIONS = """
    symbol_exists sym2addr sym2alladdr addr2sym addr2mod readmem readPtr readInt phys_to_page
    struct_size member_offset member_size enumerator_value gdb_typeinfo gdb_whatis
    exec_crash_command exec_crash_command_bg2 get_GDB_output register_epython_prog
    get_epython_cmds
""".split()

ASKS_GDB = """
    struct_size member_offset member_size enumerator_value gdb_typeinfo gdb_whatis
    exec_crash_command get_GDB_output
""".split()
"""After these Ctrl-C is a longjmp, until Python's handler is set again."""
LONGJMP = 77
"""The child's exit status for one."""

EVERYWHERE = 2
"""The form of marshal that every Python writes and reads."""

Answer = Tuple[str, Any]


class LongjmpOutOfPython(Exception):
    """The session is lost, as crash is on a real PyKdump."""


class Session:
    """One crash with PyKdump loaded: command lines in, what they show out."""

    def __init__(
        self,
        fake: FakeCrash,
        folder: Path,
        pykdumppath: Sequence[Path] = (PACKAGE,),
        python: str = sys.executable,
    ) -> None:
        """folder: the current directory; pykdumppath: PYKDUMPPATH's; python: whose child."""
        self._fake = fake
        self._folder = folder
        self._path = [str(path) for path in pykdumppath]
        self._python = python
        fake.pykdump = True
        fake.commands["alias"] = self._alias
        self.aliases: Dict[str, str] = {}
        """Name -> command line, as crash's `alias` has them."""
        self.leaked = 0
        """Bytes of buffers that failed calls of readmem() have kept for good."""
        self.shown: List[str] = []
        """What each command line has shown."""
        self.reader_gone = False
        """Whether what is shown goes into a pipe that nobody reads any more."""

    def run(self, *lines: str) -> List[str]:
        """What each command line shows, in one interpreter."""
        to_child, from_child = os.pipe(), os.pipe()
        library = subprocess.check_output(
            [self._python, "-I", "-S", "-c", "import sys; print(*sys.path, sep='\\n')"], text=True
        ).split()
        child = subprocess.Popen(
            [
                *(self._python, "-I", "-S", "-X", "utf8=0", str(CHILD)),
                *(str(from_child[1]), str(to_child[0])),
                os.pathsep.join(path for path in library if not path.endswith(".zip")),
                os.pathsep.join(self._path),
                " ".join([*ALWAYS_THERE, *HELPERS.split(), "crash", "crash_ext", "pykdump"]),
                " ".join(MISSING_INSIDE),
                " ".join(ASKS_GDB),
                str(LONGJMP),
            ],
            cwd=self._folder,
            env={
                "LANG": "C",
                "LC_ALL": "C",
                "PYTHONCOERCECLOCALE": "0",
                "PYKDUMPPATH": os.pathsep.join(self._path),
            },
            pass_fds=(from_child[1], to_child[0]),
        )
        os.close(from_child[1])
        os.close(to_child[0])
        self.shown = []
        left = [line.split() for line in lines]
        with os.fdopen(from_child[0], "rb") as questions, os.fdopen(to_child[1], "wb") as answers:
            while True:
                head = questions.read(8)
                if not head:
                    break
                size = int.from_bytes(head, "little")
                name, args = marshal.loads(questions.read(size))
                answer = marshal.dumps(self._answer(name, args, left), EVERYWHERE)
                answers.write(len(answer).to_bytes(8, "little") + answer)
                answers.flush()
        status = child.wait(timeout=60)
        if status == LONGJMP:
            raise LongjmpOutOfPython
        assert status == 0
        return self.shown

    def _alias(self, line: str) -> str:
        """crash's `alias NAME COMMAND...`, which takes no name of a command."""
        _, name, *words = line.split()
        if name in self._fake.help_pages:
            return f"alias: cannot alias existing command name: {name}\n"
        self.aliases[name] = " ".join(words)
        return f"ORIGIN  ALIAS    COMMAND\nruntime {name:8} {self.aliases[name]}\n"

    def _words(self, words: List[str]) -> List[str]:
        """A command line's words as they come to `epython`."""
        words = [*self.aliases.get(words[0], words[0]).split(), *words[1:]]
        return words[1:] if words[0] == "epython" else words

    def _answer(self, name: str, args: Tuple[Any, ...], left: List[List[str]]) -> Answer:
        if name == "crash":
            return "value", (_FUNCTIONS, self._constants())
        if name == "next":
            if not left:
                return "value", None
            self.shown.append("")
            return "value", self._words(left.pop(0))
        if name == "show":
            if self.reader_gone and args[0]:
                return "value", (32, "Broken pipe")
            self.shown[-1] += args[0].decode("ascii")
            return "value", None
        assert name in _FUNCTIONS
        try:
            return "value", getattr(self._fake, name)(*args)
        except CrashError as error:
            self.leaked += max(args[1], 0) if name == "readmem" else 0
            return "error", error.args
        except IndexError as error:
            return "IndexError", error.args
        except KeyboardInterrupt:
            return "KeyboardInterrupt", ()

    def _constants(self) -> Dict[str, int]:
        return {
            name: getattr(self._fake, name)
            for name in ("KVADDR", "UVADDR", "PHYSADDR", "PAGESIZE", "HZ")
        }


def pythons() -> List[str]:
    """Interpreters of the releases that PyKdump is built with (3.8 to 3.12), and newer ones."""
    here = Path(sysconfig.get_config_var("prefix") or sys.base_prefix)
    found: Dict[str, Optional[str]] = {sys.version.split()[0]: sys.executable}
    for folder in sorted(here.parent.glob("3.*")):
        binary = folder / "bin" / "python3"
        if binary.exists() and int(folder.name.split(".")[1]) >= 8:
            found.setdefault(folder.name, str(binary))
    return [path for path in found.values() if path]
