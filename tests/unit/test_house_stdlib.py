# SPDX-License-Identifier: GPL-3.0-or-later
"""crash_ext imports only what each of its hosts has.

Released PyKdump carries a minimal standard library. Its list was taken from its binaries;
json and tabulate are worth having where they exist, so they may be tried for. The rest is
this package, and where a room may know it the module `crash`.
"""

from __future__ import annotations

import ast
import pathlib
import textwrap
from typing import FrozenSet, Iterator, List, Tuple

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "crash_ext"

ALWAYS_THERE = frozenset(
    """
    __future__ abc argparse array ast atexit base64 binascii bisect builtins code codecs
    collections contextlib copy datetime dis enum errno fnmatch functools gc getopt gettext
    heapq importlib inspect io itertools keyword linecache locale math operator optparse os
    pathlib pkgutil posix pprint random re runpy select selectors shutil signal socket stat
    string struct sys textwrap time tokenize traceback types typing unicodedata urllib.parse
    warnings weakref zipimport zlib
    """.split()
)
MISSING_INSIDE = frozenset({"importlib.metadata", "importlib.resources"})
MAY_BE_TRIED = frozenset({"json", "tabulate"})
CATCHING = frozenset({"ImportError", "ModuleNotFoundError", "Exception"})


def imported(node: ast.AST) -> List[str]:
    """The modules that one statement imports; `from a import b` may mean a.b, so both."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        inside = [f"{node.module}.{alias.name}" for alias in node.names]
        return [node.module, *(name for name in inside if name in MISSING_INSIDE)]
    return []


def catches_import_error(node: ast.Try) -> bool:
    return any(
        isinstance(name, ast.Name) and name.id in CATCHING
        for handler in node.handlers
        if handler.type is not None
        for name in ast.walk(handler.type)
    )


def imports(node: ast.AST, tried: bool = False) -> Iterator[Tuple[str, int, bool]]:
    """(module, line, whether an except clause waits for it) of each import below node."""
    for module in imported(node):
        yield module, getattr(node, "lineno", 0), tried
    if isinstance(node, ast.Try):
        for statement in node.body:
            yield from imports(statement, tried or catches_import_error(node))
        rest: List[ast.AST] = [*node.handlers, *node.orelse, *node.finalbody]
    else:
        rest = list(ast.iter_child_nodes(node))
    for child in rest:
        yield from imports(child, tried)


def there(module: str) -> bool:
    """Whether a module, or the package that it is in, is in every host."""
    if module in MISSING_INSIDE:
        return False
    parts = module.split(".")
    return any(".".join(parts[:end]) in ALWAYS_THERE for end in range(1, len(parts) + 1))


def offences(source: str, own: FrozenSet[str]) -> List[str]:
    return [
        f"line {line}: {module}"
        for module, line, tried in imports(ast.parse(source))
        if not there(module)
        and module.split(".")[0] not in own
        and not (tried and module in MAY_BE_TRIED)
    ]


def own_modules(path: pathlib.Path) -> FrozenSet[str]:
    """host/ knows crash, and a command hands it the module; the other rooms never see it.

    What is called drgn* is loaded where drgn runs, with a whole Python.
    """
    if path.parent not in (PACKAGE, PACKAGE / "host"):
        return frozenset({"crash_ext"})
    if path.name.startswith("drgn"):
        return frozenset({"crash_ext", "drgn", "logging"})
    return frozenset({"crash_ext", "crash"})


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=str(path.relative_to(PACKAGE))) for path in PACKAGE.rglob("*.py")],
)
def test_imports_what_every_host_has(path: pathlib.Path) -> None:
    assert offences(path.read_text(encoding="utf-8"), own_modules(path)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import json",
        "import tabulate",
        "import dataclasses",
        "import crash",
        "import urllib",
        "import urllib.request",
        "from importlib import metadata",
        "import importlib.metadata",
        "def f():\n    import subprocess",
        "try:\n    import subprocess\nexcept ImportError:\n    pass",
        "try:\n    import json\nexcept ValueError:\n    pass",
        "try:\n    pass\nexcept ImportError:\n    import json",
        "if True:\n    pass\nelse:\n    from csv import reader",
    ],
)
def test_notices_what_some_host_lacks(source: str) -> None:
    assert len(offences(source, frozenset({"crash_ext"}))) == 1


def test_lets_pass_what_may_be_missing() -> None:
    source = """
        import os.path
        from urllib.parse import quote
        from collections.abc import Iterator
        from importlib import import_module
        from crash_ext import reader
        try:
            import json
            from tabulate import tabulate
        except (ImportError, SyntaxError):
            json = None
    """
    assert offences(textwrap.dedent(source), frozenset({"crash_ext"})) == []
