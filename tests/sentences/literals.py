# SPDX-License-Identifier: GPL-3.0-or-later
"""The sentences in crash_ext/, each replaced by a call that may change it.

A sentence is a string literal, or a piece of an f-string, with a blank and a word in it; no
docstring, no pattern of a regular expression, and no type's name. What is made at run time can
be changed at any time; a constant, which is made as its module is imported, is a text that looks
anew at what it is each time that it is printed, joined by + or compared.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Dict, List, NamedTuple, Optional, Sequence, Set

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "crash_ext"
_CALL, _CONSTANT = "__sentence__", "__sentence_constant__"
_WORD = re.compile(r"[A-Za-z]{2,}")
_TYPE = re.compile(r"(?:struct|union|enum) \w*|(?:(?:un|)signed|char|short|int|long| )+")
_PATTERN = re.compile(r"\(\?|\\[dswb(\[]")
_ASKING = {
    *("exec_crash_command", "get_GDB_output", "_command"),
    *("startswith", "endswith", "replace", "partition", "rpartition", "find", "split"),
}
_MARK = "Zq{}q"
MARKS = re.compile(r"Zq(\d+)q")


class Sentence(NamedTuple):
    """One literal."""

    file: str
    line: int
    text: str


class Constant(str):
    """A literal that is made once and may be another text later."""

    sentences: Sentences
    number: int

    def __str__(self) -> str:
        return self.sentences.text(self.number)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def format(self, *args: object, **kwargs: object) -> str:
        return str(self).format(*args, **kwargs)

    def __add__(self, other: str) -> str:
        return str(self) + str(other)

    def __radd__(self, other: str) -> str:
        return str(other) + str(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and str(self) == str(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.sentences.all[self.number].text)


class Sentences:
    """All literals that were met, and what is to become of them."""

    def __init__(self, marked: bool) -> None:
        """marked: each literal has its number in it, for good."""
        self.all: List[Sentence] = []
        self.used: Set[int] = set()
        """Numbers of the literals that were made since somebody emptied this."""
        self.changed: Set[int] = set()
        """Numbers of those that are another text now."""
        self._marked = marked
        self._numbers: Dict[Sentence, int] = {}

    def number(self, sentence: Sentence) -> int:
        """A literal's number; a file that is compiled twice keeps its numbers."""
        if sentence not in self._numbers:
            self._numbers[sentence] = len(self.all)
            self.all.append(sentence)
        return self._numbers[sentence]

    def text(self, number: int) -> str:
        """What the literal is at this moment."""
        text = self.all[number].text
        self.used.add(number)
        if not self._marked and number not in self.changed:
            return text
        put = _MARK.format(number) if self._marked else "XXXX"
        at = _WORD.search(text)
        assert at is not None
        return f"{text[: at.start()]}{put}{text[at.start() if self._marked else at.end() :]}"

    def constant(self, number: int) -> str:
        """The literal, for a name that keeps it."""
        if self._marked:
            return self.text(number)
        made = Constant(self.all[number].text)
        made.sentences, made.number = self, number
        return made

    def install(self) -> None:
        """From now on the package's modules are compiled with calls in place of literals."""
        assert not any(name.split(".")[0] == PACKAGE for name in sys.modules)
        setattr(builtins, _CALL, self.text)
        setattr(builtins, _CONSTANT, self.constant)
        sys.meta_path.insert(0, _Finder(self))


class _Finder(MetaPathFinder):
    def __init__(self, sentences: Sentences) -> None:
        self._sentences = sentences

    def find_spec(
        self, name: str, path: Optional[Sequence[str]], target: Optional[ModuleType] = None
    ) -> Optional[ModuleSpec]:
        if name.split(".")[0] != PACKAGE:
            return None
        base = ROOT.joinpath(*name.split("."))
        package = base.is_dir()
        file = base / "__init__.py" if package else base.with_suffix(".py")
        if not file.exists():
            return None
        loader: Loader = _Loader(name, str(file), self._sentences)
        places = [str(base)] if package else None
        return spec_from_file_location(name, file, loader=loader, submodule_search_locations=places)


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, sentences: Sentences) -> None:
        super().__init__(name, path)
        self._sentences = sentences

    def get_code(self, fullname: str) -> CodeType:
        """Always out of the source: a compiled file has no calls."""
        path = self.get_filename(fullname)
        tree = _Changer(self._sentences, str(Path(path).relative_to(ROOT))).visit(
            ast.parse(Path(path).read_text(encoding="utf-8"))
        )
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)


class _Changer(ast.NodeTransformer):
    """Puts calls in place of sentences."""

    def __init__(self, sentences: Sentences, file: str) -> None:
        self._sentences = sentences
        self._file = file
        self._functions = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Outside of all functions a literal is a constant."""
        self._functions += 1
        self.generic_visit(node)
        self._functions -= 1
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        """As a function."""
        self._functions += 1
        self.generic_visit(node)
        self._functions -= 1
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """A literal as a statement is a docstring."""
        return node if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A pattern is no sentence, nor what a text is looked for or what is asked of crash."""
        function = node.func
        if isinstance(function, ast.Attribute):
            value = function.value
            if isinstance(value, ast.Name) and value.id == "re":
                return node
            if function.attr == "split" and isinstance(value, ast.Constant):
                return node
            if function.attr in _ASKING:
                function.value = self.visit(value)
                return node
        return self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """What a text is compared with is not printed."""
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """An annotation stays."""
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """The pieces of an f-string, and what is within its braces."""
        node.values = [
            ast.copy_location(ast.FormattedValue(self._call(piece), -1, None), piece)
            if isinstance(piece, ast.Constant) and _is_sentence(piece)
            else piece
            if isinstance(piece, ast.Constant)
            else self._within(piece)
            for piece in node.values
        ]
        return node

    def _within(self, piece: ast.expr) -> ast.expr:
        assert isinstance(piece, ast.FormattedValue)
        piece.value = self.visit(piece.value)
        return piece

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """A literal that is no piece of an f-string."""
        if not _is_sentence(node):
            return node
        return self._call(node, _CALL if self._functions else _CONSTANT)

    def _call(self, node: ast.Constant, call: str = _CALL) -> ast.expr:
        assert isinstance(node.value, str)
        number = self._sentences.number(Sentence(self._file, node.lineno, node.value))
        name = ast.Name(call, ast.Load())
        return ast.copy_location(ast.Call(name, [ast.Constant(number)], []), node)


def _is_sentence(node: ast.Constant) -> bool:
    text = node.value
    if not isinstance(text, str) or _TYPE.fullmatch(text) or _PATTERN.search(text):
        return False
    return " " in text.strip("\n") and bool(_WORD.search(text))
