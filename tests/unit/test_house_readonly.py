# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is ever written to a kernel, and nothing out of a dump is run or used as a format.

The loader has no function that writes memory (tests/loader/test_module.py asks the module
itself); this reads the sources.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Iterator, List

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "crash_ext"
C_FILES = sorted((PACKAGE / "host").glob("*.[ch]"))
PYTHON_FILES = sorted(PACKAGE.rglob("*.py"))

WRITING = {"wr", "gdb", "extend", "alias", "repeat", "foreach"}
"""Commands of crash that write memory, or run others that may."""
RUNS_TEXT = {"eval", "exec", "compile", "__import__", "open"}
"""Built-in functions."""
RUNS_PROGRAMS = {"system", "popen", "Popen", "spawn", "fork"}
"""Of whatever module."""
ALIASES = "host/pykdump.py"
"""The file that gives a command of ours its name there: the one use of `alias`."""
OPENS_FILES = {"files.py", "drgnprogram.py", "batch/merge.py"}
"""A file that the user has named: its path is never out of a dump."""
FORMATTED = re.compile(
    r"\b(?:(?:error)\(\w+,|fprintf\(\w+,|printf\(|snprintf\([^,]+,[^,]+,|PyErr_Format\(\w+,)"
    r"\s*(?:[A-Z_]+ )?(.)"
)


def calls(source: str) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))


def runs_text(source: str) -> List[str]:
    """Calls that run a text, start a program or open a file."""
    found = []
    for node in calls(source):
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in RUNS_PROGRAMS:
            found.append(function.attr)
        elif isinstance(function, ast.Name) and function.id in RUNS_TEXT | RUNS_PROGRAMS:
            found.append(function.id)
    return found


def wrong_commands(source: str) -> List[str]:
    """Texts, anywhere, whose first word is a command that writes; and gdb's assignments."""
    texts = [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    told = [text for text in texts if text.split(" ")[0] in WRITING and text.split(" ")[1:]]
    return told + [text for text in texts if re.match(r"(set var|print [^(]*=[^=])", text)]


def wrong_formats(source: str) -> List[str]:
    """Formats that aren't literals."""
    return [match[0] for match in FORMATTED.finditer(source) if match[1] != '"']


def code(source: str) -> str:
    """C without comments."""
    return re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)


@pytest.mark.parametrize("path", C_FILES, ids=lambda path: path.name)
def test_no_c_source_writes_memory(path: Path) -> None:
    text = code(path.read_text())
    assert not re.search(r"\bwritemem\b|\bO_RDWR\b|\bwrite_\w*mem\w*\(", text)
    assert wrong_formats(text) == []


@pytest.mark.parametrize("path", PYTHON_FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_python_file_has_crash_write_or_runs_a_text(path: Path) -> None:
    source = path.read_text()
    name = str(path.relative_to(PACKAGE))
    assert wrong_commands(source) == (["alias "] if name == ALIASES else [])
    allowed = {"open"} if name in OPENS_FILES else set()
    assert set(runs_text(source)) <= allowed


def test_what_is_looked_for_is_found() -> None:
    assert wrong_commands("crash.exec_crash_command(f'wr {address:x} 0')")
    assert wrong_commands("line = 'foreach files'")
    assert wrong_commands("get_GDB_output('set var x = 1')")
    assert wrong_commands("get_GDB_output('print x = 1')")
    assert wrong_commands("crash.exec_crash_command('ptov 0')") == []
    assert runs_text("eval(name)") == ["eval"]
    assert runs_text("os.system(name)") == ["system"]
    assert runs_text("re.compile(name)") == []
    assert wrong_formats("error(INFO, message);") == ["error(INFO, m"]
    assert wrong_formats('error(INFO, "%s", message);') == []
    assert wrong_formats("snprintf(path, sizeof(path), name)")
