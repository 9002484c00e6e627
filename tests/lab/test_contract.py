# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host owes the Reader: the same claims about crash and about drgn, over one dump.

What is asked of both is in questions_of(). Where a claim knows the truth it is the module's own
account, or what the kernel keeps in its memory about itself.
"""

from __future__ import annotations

import json
import re
import tempfile
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

import pytest

from crash_ext.drgnprogram import open_program
from crash_ext.host.target import Target
from tests import lab
from tests.lab.dumps import Dump
from tests.lab.often import kernels
from tests.lab.probe import run_probe
from tests.lab.readerprobe import Question, answer
from tests.lab.session import DRGN

HOSTS = ("crash", DRGN)
STRUCTS = ("list_head", "page", "kmem_cache", "task_struct", "union sigval", "module", "dentry")
MEMBERS = (
    ("list_head", "prev"),
    ("kmem_cache", "name"),
    ("kmem_cache", "list"),
    # In an anonymous struct of an anonymous union.
    ("page", "lru"),
    ("page", "mapping"),
    ("task_struct", "comm"),
    ("union sigval", "sival_ptr"),
)
MISSING = ("nosuch_thing", "slabtest_obj")


class Told(NamedTuple):
    """A dump and what a host answers about it."""

    dump: Dump
    leaked: int
    """The address of an object that is allocated."""
    answers: Dict[str, Any]

    def __call__(self, *question: Any) -> Any:
        return self.answers[json.dumps(question)]


def leaked_of(dump: Dump) -> int:
    return int(dump.truth["objects"]["slab_test"]["leftover"]["leaked"][0]["addr"], 16)


def questions_of(dump: Dump) -> Iterator[Question]:
    leaked = leaked_of(dump)
    page: Question = ["virt_to_page", leaked]
    initcall: Question = ["symbol", "do_one_initcall"]
    for name in ("word", "byteorder", "page_size", "possible_cpus", "registers", "page_ranges"):
        yield [name]
    yield from (["log"], ["module_files"], ["read", leaked, 16], ["try_read", leaked, 16])
    for address, size in ((0, 8), (0xDEAD0000, 8), (1 << 64, 8), ((1 << 64) - 4, 8)):
        yield from (["read", address, size], ["try_read", address, size])
    yield from (["read", leaked, 0], ["read", ["symbol", "linux_banner"], 14])
    yield from (page, ["page_to_virt", page], ["page_to_virt", ["+", page, 8]])
    yield from (["virt_to_page", 0xDEAD0000], ["virt_to_page", ["symbol", "linux_banner"]])
    yield from (["phys_to_virt", 0x1000], ["phys_to_virt", 1 << 50], ["phys_to_virt", -1])
    for name in ("slab_caches", "linux_banner", "nosuch_symbol", ""):
        yield ["symbol", name]
    yield from (initcall, ["symbol_at", initcall], ["symbol_at", ["+", initcall, 3]])
    yield from (["symbol_at", 8], ["symbol_at", leaked])
    yield from (["source_line", ["+", initcall, 3]], ["source_line", leaked], ["source_line", 8])
    yield ["symbol", "this_cpu_off"]
    yield from (["percpu_symbol_at", ["symbol", "this_cpu_off"]], ["percpu_symbol_at", leaked])
    yield ["percpu_symbol_at", ["+", ["symbol", "runqueues"], 8]]
    for cpu in (0, 1, 99):
        offset: Question = ["percpu", ["symbol", "this_cpu_off"], cpu]
        yield offset
        yield ["read", offset, 8] if cpu < 2 else ["percpu", 0, cpu]
    for struct in (*STRUCTS, *MISSING):
        yield from (["struct_size", struct], ["members", struct])
    for struct, member in (*MEMBERS, ("list_head", "nosuch"), ("nosuch_thing", "next")):
        yield from (["offset", struct, member], ["size", struct, member])
    for name in ("HRTIMER_NORESTART", "HRTIMER_RESTART", "NOSUCH_ENUMERATOR", "PAGE_SIZE"):
        yield ["enumerator", name]


def crash_of(kernel: str) -> str:
    # 9.0.2 for 7.3; the system's own for 6.1.
    return {"5.10": "8.0.2", "6.1": "8.0.2", "6.12": "8.0.6"}.get(kernel, "9.0.2")


def ask(kernel: str, host: str) -> Told:
    dump = lab.dump(kernel, "leak")
    questions = list(questions_of(dump))
    if host == DRGN:
        # drgn's objects may not be shared with crash's answers, so a program of its own.
        from crash_ext.host.drgnhost import DrgnHost

        reader = Target(DrgnHost(open_program(str(dump.vmcore), [str(dump.vmlinux)])))
        found: List[Any] = [answer(reader, question) for question in questions]
    else:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.writelines(f"{json.dumps(question)}\n" for question in questions)
            file.flush()
            found = run_probe(kernel, crash_of(kernel), "readerprobe", file.name)
    assert len(found) == len(questions)
    return Told(dump, leaked_of(dump), dict(zip(map(json.dumps, questions), found)))


_KNOWN: Dict[Tuple[str, str], Told] = {}


def told_by(kernel: str, host: str) -> Told:
    if (kernel, host) not in _KNOWN:
        _KNOWN[kernel, host] = ask(kernel, host)
    return _KNOWN[kernel, host]


@pytest.fixture(scope="module", params=kernels(["6.1"]))
def kernel(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=HOSTS)
def told(kernel: str, request: pytest.FixtureRequest) -> Told:
    return told_by(kernel, request.param)


def test_both_hosts_give_the_same_answers(kernel: str) -> None:
    crash, drgn = (dict(told_by(kernel, host).answers) for host in HOSTS)
    callers = [_CALLER.search(told['["log"]']) for told in (crash, drgn)]
    if len({found and len(found[0]) for found in callers}) > 1:
        # Only crash 9 has them as drgn: 8.0.6 in fewer columns, the older ones not at all.
        for told in (crash, drgn):
            # Further lines of a record stand below its text.
            text = re.sub(r"(?m)^ +", "", told['["log"]'])
            told['["log"]'] = _CALLER.sub(r"\1\2 " if callers[0] else r"\1", text)
    different = {
        question: (theirs, drgn[question])
        for question, theirs in crash.items()
        if theirs != drgn[question] and question not in _OF_ONE_HOST
    }
    assert different == {}


def test_both_hosts_give_the_same_registers(kernel: str) -> None:
    crash, drgn = (told_by(kernel, host)("registers") for host in HOSTS)
    assert set(crash) == set(drgn) == {"0", "1"}
    for cpu, values in crash.items():
        common = set(values) & set(drgn[cpu])
        assert {"RIP", "RSP", "RBP", "RBX", "R12", "R13", "R14", "R15"} <= common
        assert {name: values[name] for name in common} == {name: drgn[cpu][name] for name in common}


_CALLER = re.compile(r"(?m)^(\[ *\d+\.\d+\] )\[ *([TC]\d+)\] ")
_OF_ONE_HOST = {
    # gdb's registers have other names (CS, EFLAGS), and it prints types in its own words.
    '["registers"]',
    *(json.dumps(["members", struct]) for struct in STRUCTS),
    # crash opens 7.3 without modules.
    '["module_files"]',
}


def test_the_machine_is_known(told: Told) -> None:
    assert (told("word"), told("byteorder"), told("page_size")) == (8, "little", 4096)
    assert told("possible_cpus") == [0, 1]


def test_memory_is_read_as_it_is(told: Told) -> None:
    data = bytes.fromhex(told("read", told.leaked, 16))
    # slabtest's own mark, and what follows it.
    assert data[:4] == b"KCAJ"
    assert told("try_read", told.leaked, 16) == data.hex()
    banner = told("read", ["symbol", "linux_banner"], 14)
    assert bytes.fromhex(banner) == b"Linux version "


@pytest.mark.parametrize("address", [0, 0xDEAD0000, 1 << 64, (1 << 64) - 4])
def test_what_is_not_there_cant_be_read_and_says_where(told: Told, address: int) -> None:
    assert told("read", address, 8) == {"unreadable": address}
    assert told("try_read", address, 8) is None


def test_nothing_is_no_memory(told: Told) -> None:
    assert told("read", told.leaked, 0) == {"unreadable": told.leaked}


def test_an_object_has_a_page_and_the_page_its_address(told: Told) -> None:
    page: Question = ["virt_to_page", told.leaked]
    assert told("page_to_virt", page) == told.leaked & -4096
    assert told("page_to_virt", ["+", page, 8]) is None
    inside = [
        first <= told(*page) < first + count * told("struct_size", "page")
        for first, count in told("page_ranges")
    ]
    assert inside.count(True) == 1


def test_what_is_not_in_the_direct_map_has_no_page(told: Told) -> None:
    assert told("virt_to_page", 0xDEAD0000) is None
    assert told("virt_to_page", ["symbol", "linux_banner"]) is None
    assert told("phys_to_virt", 1 << 50) is None
    assert told("phys_to_virt", -1) is None
    base = told("phys_to_virt", 0x1000) - 0x1000
    assert base < told.leaked < base + (1 << 40)


def test_symbols_are_found_by_name_and_by_address(told: Told) -> None:
    start = told("symbol", "do_one_initcall")
    assert start > 1 << 63
    assert told("symbol_at", ["symbol", "do_one_initcall"]) == ["do_one_initcall", 0]
    assert told("symbol_at", ["+", ["symbol", "do_one_initcall"], 3]) == ["do_one_initcall", 3]
    assert told("symbol", "nosuch_symbol") is None
    assert told("symbol", "") is None
    assert told("symbol_at", 8) is None
    assert told("symbol_at", told.leaked) is None


def test_a_cpu_s_own_variables_have_names_by_their_pointers(told: Told) -> None:
    found = told("percpu_symbol_at", ["symbol", "this_cpu_off"])
    assert found == ["this_cpu_off", 0]
    assert told("percpu_symbol_at", ["+", ["symbol", "runqueues"], 8]) == ["runqueues", 8]
    assert told("percpu_symbol_at", told.leaked) is None


def test_code_has_a_line_of_source_and_data_none(told: Told) -> None:
    file, line = told("source_line", ["+", ["symbol", "do_one_initcall"], 3])
    assert file == "init/main.c"
    assert line > 100
    assert told("source_line", told.leaked) is None
    assert told("source_line", 8) is None


@pytest.mark.parametrize("cpu", [0, 1])
def test_a_cpus_own_offset_lies_where_it_says(told: Told, cpu: int) -> None:
    pointer: Question = ["percpu", ["symbol", "this_cpu_off"], cpu]
    offset = int.from_bytes(bytes.fromhex(told("read", pointer, 8)), "little")
    assert told(*pointer) == (told("symbol", "this_cpu_off") + offset) & (1 << 64) - 1


def test_a_cpu_that_is_not_there_has_no_memory(told: Told) -> None:
    assert told("percpu", 0, 99) is None


def test_types_have_their_sizes_and_what_is_missing_none(told: Told) -> None:
    assert told("struct_size", "list_head") == 16
    assert told("struct_size", "union sigval") == 8
    for name in MISSING:
        assert told("struct_size", name) is None
        assert told("members", name) == []


def test_members_are_found_through_anonymous_ones(told: Told) -> None:
    assert (told("offset", "list_head", "prev"), told("size", "list_head", "prev")) == (8, 8)
    assert told("offset", "page", "lru") == 8
    assert told("size", "task_struct", "comm") == 16
    assert told("offset", "union sigval", "sival_ptr") == 0
    for struct, member in (("list_head", "nosuch"), ("nosuch_thing", "next")):
        assert told("offset", struct, member) is None
        assert told("size", struct, member) is None


def test_all_members_of_a_structure_are_told(told: Told) -> None:
    pointer = "struct list_head *"
    assert told("members", "list_head") == [["next", 0, 8, pointer], ["prev", 8, 8, pointer]]
    for struct in ("kmem_cache", "dentry"):
        members = {(name, offset) for name, offset, _, _ in told("members", struct)}
        assert len(members) > 10
    # (Inner structures have members of these names, too.)
    listed = [member[:3] for member in told("members", "kmem_cache")]
    for name in ("name", "list"):
        own = [name, told("offset", "kmem_cache", name), told("size", "kmem_cache", name)]
        assert own in listed


def test_enumerators_have_values_and_macros_none(told: Told) -> None:
    assert told("enumerator", "HRTIMER_NORESTART") == 0
    assert told("enumerator", "HRTIMER_RESTART") == 1
    assert told("enumerator", "NOSUCH_ENUMERATOR") is None
    assert told("enumerator", "PAGE_SIZE") is None


def test_the_registers_of_each_cpu_point_into_the_kernel(told: Told) -> None:
    found = told("registers")
    assert set(found) == {"0", "1"}
    for values in found.values():
        assert values["RIP"] >> 63
        assert values["RSP"] >> 63


def test_the_log_begins_with_the_kernels_banner_and_has_the_modules_lines(told: Told) -> None:
    text = told("log")
    assert "Linux version " in text.partition("\n")[0]
    assert text.startswith("[    0.000000]")
    assert "Objects remaining" in text


def test_a_module_without_its_file_is_told_as_such(told: Told, kernel: str) -> None:
    found = told("module_files")
    if kernel == "7.3" and found is None:
        # Started with --no_modules crash knows of none.
        return
    assert found["slabtest"] is False
