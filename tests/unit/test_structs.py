# SPDX-License-Identifier: GPL-3.0-or-later
"""slabobjs -t shows objects by crash's own `struct`, and lets nothing else reach crash."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Sequence

import pytest

from mocks.crash_module import CrashError, FakeCrash
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.model import Slab
from tests.replay import run_command

KNOWN: Dict[str, Dict[str, Sequence[str]]] = {
    "struct": {"foo": ("a", "b", "in.c")},
    "union": {"bar": ("x",)},
}


def crash_struct(line: str) -> str:
    """As crash 8 and 9 answer to struct and union."""
    kind, what, *rest = line.split()
    name, _, members = what.partition(".")
    if name not in KNOWN[kind]:
        raise CrashError(f"{kind}: invalid data structure reference: {name}\n")
    names = members.split(",") if members else []
    if not rest and len(names) > 1:
        raise CrashError(f"{kind}: multiple member format not supported in this syntax\n")
    for member in names:
        if member not in KNOWN[kind][name]:
            raise CrashError(f"{kind}: invalid data structure reference: {what}\n")
    if not rest:
        return f"{kind} {name} {{\n}}\nSIZE: 8\n"
    if rest[0].endswith("bad"):
        raise CrashError(f"{kind}: invalid kernel virtual address: {rest[0]}\n")
    if names:
        return "".join(f"  {member} = 0x1,\n" for member in names)
    return f"{kind} {name} {{\n  at = 0x{rest[0]}\n}}\n\n"


class Two:
    """A cache with two allocated objects, and a crash that knows a struct and a union."""

    def __init__(self) -> None:
        self.heap = Heap(LAYOUTS["6.1"])
        cache = self.heap.cache("slab_test", 84)
        self.slab: Slab = self.heap.slab(cache, {3, 4})
        self.fake = FakeCrash(self.heap.image)
        members = {"a": (0, 8), "b": (88, 8), "in": (8, 8)}
        self.heap.image.structs["foo"] = (96, members)
        self.heap.image.structs["bar"] = (8, {"x": (0, 8)})
        self.fake.commands["struct"] = self.fake.commands["union"] = crash_struct
        self.addresses = [f"{self.slab.object(index):x}" for index in (3, 4)]

    def text(self, *arguments: str) -> str:
        return run_command(self.fake, "slabobjs", arguments)

    def asked(self) -> List[str]:
        """The command lines that reached crash for structures."""
        return [line for line in self.fake.commands_run if line.split()[0] in ("struct", "union")]


@pytest.mark.parametrize("written", ["foo", "struct foo", "  struct   foo ", "'foo'"])
def test_each_object_is_shown_as_the_structure(written: str) -> None:
    two = Two()
    text = two.text("-t", written, "slab_test")
    for address in two.addresses:
        assert f"  [{address}]\nstruct foo {{\n  at = 0x{address}\n}}\n" in text
    assert not re.search(r"(?m)^[0-9a-f]{16}:", text), "no hexdump beside it"
    assert "foo ends at byte 96, an object at 84: what lies behind it is not" in text


@pytest.mark.parametrize("arguments", [("slab_test", "foo'"), ("foo'", "slab_test")])
def test_single_quotes_which_crash_does_not_know_are_taken(arguments: List[str]) -> None:
    assert Two().text("-t", "'struct", *arguments).count("struct foo {") == 2


def test_members_alone_are_shown_alone() -> None:
    two = Two()
    text = two.text("-t", "struct foo.a,in.c", "slab_test")
    assert text.count("  a = 0x1,\n  in.c = 0x1,\n") == 2
    assert "ends at byte" not in text
    assert two.asked()[-1] == f"struct foo.a,in.c {two.addresses[-1]}"
    assert "foo.b ends at byte 96, an object at 84" in two.text("-t", "foo.b", "slab_test")


@pytest.mark.parametrize("written", ["bar", "union bar"])
def test_a_union_is_shown_too(written: str) -> None:
    assert Two().text("-t", written, "slab_test").count("union bar {") == 2


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("nosuch", "struct: invalid data structure reference: nosuch"),
        ("foo.nosuch", "struct: invalid data structure reference: foo.nosuch"),
        ("foo.a,nosuch", "struct: invalid data structure reference: foo.nosuch"),
        ("struct bar", "struct: invalid data structure reference: bar"),
    ],
)
def test_an_unknown_structure_is_one_line_before_anything(written: str, said: str) -> None:
    assert Two().text("-t", written, "slab_test") == f"slabobjs: {said}\n"


@pytest.mark.parametrize(
    "written",
    ["", "foo | sh", "foo;q", "!ls", "foo > x", "foo\nq", "foo 0", "foo.", ".a", "foo.a,", "-o foo",
     "foo -x", "f\u00f6o", "'struct foo", "struct", "* foo"],
)  # fmt: skip
def test_nothing_but_names_reaches_crash(written: str) -> None:
    two = Two()
    if written == "struct":
        # A name like any other, and none that there is.
        assert "invalid data structure" in two.text("-t", written, "slab_test")
        return
    text = two.text("-t", written, "slab_test")
    assert text.endswith(": not a structure, or members of one\n")
    assert two.asked() == []


@pytest.mark.parametrize("option", [("-q",), ("-b", "8")])
def test_it_goes_with_no_other_form_of_contents(option: List[str]) -> None:
    text = Two().text("-t", "foo", *option, "slab_test")
    assert text.startswith(f"slabobjs: -t doesn't go with {option[0]}\n")


def test_a_record_has_it_as_text_beside_the_contents() -> None:
    two = Two()
    rows: List[Dict[str, Any]] = [
        json.loads(line) for line in two.text("-j", "-t", "bar", "slab_test").splitlines()
    ]
    shown = [row for row in rows if row["type"] == "object"]
    assert [row["struct"] for row in shown] == [
        f"union bar {{\n  at = 0x{address}\n}}" for address in two.addresses
    ]
    assert all(len(row["data"]) == 168 for row in shown)
    plain = [json.loads(line) for line in two.text("-j", "slab_test").splitlines()]
    assert all("struct" not in row for row in plain)


def test_an_object_that_crash_cannot_show_is_an_error_line_and_the_rest_goes_on() -> None:
    two = Two()
    two.fake.commands["union"] = lambda line: crash_struct(
        line.replace(two.addresses[0], two.addresses[0] + "bad")
    )
    text = two.text("-t", "bar", "slab_test")
    bad = f"{two.addresses[0]}bad"
    assert f": object {two.addresses[0]}: union: invalid kernel virtual address: {bad}\n" in text
    assert text.count("union bar {") == 1


@pytest.mark.parametrize("answer", ["", "crash: command not found: struct\n", "struct: oops\n"])
def test_a_crash_that_answers_oddly_shows_nothing(answer: str) -> None:
    two = Two()
    two.fake.commands["struct"] = two.fake.commands["union"] = answer
    assert two.text("-t", "foo", "slab_test").count("\n") == 1


@pytest.mark.parametrize("shown", ["", "struct foo {\n}\nSIZE: 8\n"])
def test_a_crash_that_refuses_without_a_word_is_told_as_such(shown: str) -> None:
    two = Two()

    def refuse(line: str) -> str:
        if not shown or len(line.split()) > 2:
            raise CrashError("")
        return shown

    two.fake.commands["struct"] = two.fake.commands["union"] = refuse
    text = two.text("-t", "foo", "slab_test")
    if shown:
        at = two.addresses[0]
        assert f": object {at}: struct foo {at}: crash shows nothing\n" in text
    else:
        assert text == "slabobjs: struct foo: crash shows nothing for it\n"
