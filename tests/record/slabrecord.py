# SPDX-License-Identifier: GPL-3.0-or-later
"""slabrecord: notes, in a running crash, all that the commands ask of it.

Runs inside crash: `extend slabrecord.py` registers the command, `slabrecord REQUEST` does
what the JSON file REQUEST says and writes its notes to the file that it names. The commands
run as ever, but their module `crash` passes each question on to the real one and keeps the
answer. Then the notes are completed: every member of a struct that was asked for, every
cache and the slabs of those that are named as a whole.

Knows crash and the commands; knows neither the lab nor the form of a recording.

Request: {"lines": [command line], "unprinted": [command line], "caches": [hex address],
"out": path}. In a line `page:ADDRESS` stands for the struct page * of an address. The
unprinted lines run for their questions only. The notes: see record().
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from types import ModuleType
from typing import Any, Dict, Iterator, List, Tuple

if __name__ == "__main__":
    sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(sys.argv[0]), "../..")))

from crash_ext import slabdup, slabobjs, slabwhy
from crash_ext.command import run, session_of
from crash_ext.host.target import Target, host_module
from crash_ext.kernel.vmcoreinfo import vmcoreinfo_number
from crash_ext.leak.duplicates import all_caches
from crash_ext.slub.caches import for_each_node
from crash_ext.slub.session import Session
from crash_ext.slub.slabs import for_each_slab

_COMMANDS = (slabdup.COMMAND, slabobjs.COMMAND, slabwhy.COMMAND)
COMMANDS = {command.name: command for command in _COMMANDS}

STRUCTS = (
    "page slab kmem_cache kmem_cache_node kmem_cache_cpu kmem_cache_per_node_ptrs"
    " kmem_cache_order_objects slub_percpu_sheaves slab_sheaf node_barn track list_head"
    " llist_node callback_head rcu_head mutex module mem_cgroup"
).split()
"""Noted as a whole, asked for or not: a command that learns to ask for another of their
members needs no new recording."""

FUNCTIONS = (
    "symbol_exists sym2addr sym2alladdr addr2sym addr2mod struct_size member_offset member_size"
    " enumerator_value phys_to_page exec_crash_command"
).split()
"""Those whose answers are kept; readmem, readPtr and readInt leave the range that they read."""

_HOLE_STEP = 64


class WithoutBtf(ModuleType):
    """The module `crash` of a kernel without BTF, whose 5 MB no recording is to hold."""

    def __init__(self, crash: Any) -> None:
        super().__init__("crash")
        self._crash = crash

    def __getattr__(self, name: str) -> Any:
        return getattr(self._crash, name)

    def sym2addr(self, name: str) -> int:
        address: int = self._crash.sym2addr(name)
        return 0 if name in ("__start_BTF", "__stop_BTF") else address


class Noting(ModuleType):
    """The module `crash`, keeping what is asked and answered."""

    def __init__(self, crash: Any) -> None:
        super().__init__("crash")
        self._crash = crash
        self.answers: Dict[Tuple[Any, ...], Any] = {}
        """(function, arguments...) -> result, or {"error": text}."""
        self.ranges: List[Tuple[int, int]] = []
        """[first, end) of memory that was asked for."""

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._crash, name)
        if name in FUNCTIONS:
            return lambda *args: self._keep(name, real, args)
        if name in ("readmem", "readInt"):
            return lambda *args: self._range(real, args[1], args)
        if name == "readPtr":
            return lambda *args: self._range(real, self._crash.struct_size("list_head") // 2, args)
        return real

    def _range(self, real: Any, size: int, args: Tuple[Any, ...]) -> Any:
        if args[0] > 0 and size > 0:
            self.ranges.append((args[0], args[0] + size))
        return real(*args)

    def _keep(self, name: str, real: Any, args: Tuple[Any, ...]) -> Any:
        try:
            result = self.answers[(name, *args)] = real(*args)
        except self._crash.error as error:
            self.answers[(name, *args)] = {"error": str(error)}
            raise
        if name in ("symbol_exists", "sym2alladdr"):
            self._keep("sym2addr", self._crash.sym2addr, args)
        return result


def run_line(line: str) -> str:
    """What a command line prints, output and errors in one stream."""
    name, *arguments = line.split()
    stream = io.StringIO()
    with redirect_stdout(stream), redirect_stderr(stream):
        run(COMMANDS[name], arguments)
    return stream.getvalue()


def record(request: Dict[str, Any]) -> Dict[str, Any]:
    """The notes on a request.

    outputs      line -> what it printed, run by crash itself as if it had been typed
    answers      [[function, arguments, result]]; an error as {"error": text}
    names        [[address, addr2sym(address, loose)]]
    structs      name -> {"size": bytes, "members": {name: [offset, size]}}, None if missing
    memory       [[first address, base64]], ascending, apart; holes are left out
    variables    nr_cpu_ids, nr_node_ids, max_pfn, __per_cpu_offset (a list)
    page_offset, page_size, word, byteorder
    list         crash's own walk of slab_caches, the text of `list`
    log          the kernel's log
    """
    real = host_module()
    crash = WithoutBtf(real)
    outputs = {}
    try:
        sys.modules["crash"] = crash
        for line in [_expanded(crash, line) for line in request["lines"]]:
            outputs[line] = _typed(crash, line)
        noting = Noting(crash)
        sys.modules["crash"] = noting
        for line, text in outputs.items():
            noted = run_line(line)
            assert noted == text, f"{line} prints another text while questions are noted: {noted}"
        for line in request["unprinted"]:
            run_line(_expanded(crash, line))
        session = session_of(noting)
        vmcoreinfo_number(session.reader, "")
        _whole_caches(session, [int(address, 16) for address in request["caches"]])
        variables = _variables(session)
    finally:
        sys.modules["crash"] = real
    return {
        "outputs": outputs,
        "answers": [[name, args, result] for (name, *args), result in noting.answers.items()],
        "names": [
            [args[0], crash.addr2sym(args[0], True)]
            for name, *args in noting.answers
            if name == "addr2sym"
        ],
        "structs": _structs(crash, noting),
        "memory": list(_memory(crash, noting.ranges)),
        "variables": variables,
        "page_offset": int(crash.exec_crash_command("ptov 0").split()[2], 16),
        "page_size": session.reader.page_size,
        "word": session.reader.word,
        "byteorder": session.reader.byteorder,
        "list": crash.exec_crash_command("list kmem_cache.list -s kmem_cache.name -H slab_caches"),
        "log": crash.exec_crash_command("log"),
    }


def _typed(crash: Any, line: str) -> str:
    """What crash prints for a command line."""
    try:
        text: str = crash.exec_crash_command(line)
    except crash.error as error:
        return str(error)
    return text


def _expanded(crash: Any, line: str) -> str:
    """The line with struct page addresses in place of page:ADDRESS."""
    target = Target(crash)
    return re.sub(
        r"\bpage:([0-9a-f]+)",
        lambda found: f"{target.virt_to_page(int(found.group(1), 16)) or 0:x}",
        line,
    )


def _whole_caches(session: Session, wanted: List[int]) -> None:
    """Reads each cache's struct and nodes whole, and all pages of the wanted ones' slabs."""
    reader, layout = session.reader, session.layout
    reach = layout.node_array + layout.node_stride
    node_size = reader.struct_size("kmem_cache_node") or 0
    for cache in all_caches(session, []):
        # Not by sizeof: the array at its end is longer than what is allocated.
        reader.read(cache.address, max(reach, layout.cache.span()))
        for node in for_each_node(session, cache, []):
            reader.read(node.address, node_size)
        if cache.address in wanted:
            for slab in for_each_slab(session, cache, []):
                reader.read(slab.base, reader.page_size << cache.order)


def _variables(session: Session) -> Dict[str, Any]:
    reader = session.reader

    def number(name: str, size: int, index: int = 0) -> int:
        data = reader.read((reader.symbol(name) or 0) + index * size, size)
        return int.from_bytes(data, reader.byteorder)

    cpus = number("nr_cpu_ids", 4)
    return {
        "nr_cpu_ids": cpus,
        # A constant in a kernel without CONFIG_NUMA.
        "nr_node_ids": number("nr_node_ids", 4) if reader.symbol("nr_node_ids") else None,
        "max_pfn": number("max_pfn", reader.word),
        "__per_cpu_offset": [number("__per_cpu_offset", reader.word, cpu) for cpu in range(cpus)],
    }


def _structs(crash: Any, noting: Noting) -> Dict[str, Any]:
    """Each struct that was asked for or is of STRUCTS, with all its members."""
    asked = {f"struct {name}": set() for name in STRUCTS}  # type: Dict[str, Any]
    for function, name, *member in noting.answers:
        if function in ("struct_size", "member_offset", "member_size"):
            asked.setdefault(name, set()).update(member)
    found: Dict[str, Any] = {}
    for whole, members in asked.items():
        name = re.sub("^(struct|union) ", "", whole)
        size = crash.struct_size(whole)
        if size < 0:
            found[name] = None
            continue
        # Any word of the declaration may be a member: crash itself says which are.
        members.update(re.findall(r"\w+", _declaration(crash, whole)))
        places = {
            member: [crash.member_offset(whole, member), crash.member_size(whole, member)]
            for member in sorted(members)
        }
        known = {member: place for member, place in places.items() if place[0] >= 0}
        found[name] = {"size": size, "members": known}
    return found


def _declaration(crash: Any, whole: str) -> str:
    try:
        text: str = crash.exec_crash_command(f"gdb ptype {whole}")
    except crash.error:
        return ""
    return text


def _memory(crash: Any, ranges: List[Tuple[int, int]]) -> Iterator[Tuple[int, str]]:
    for first, end in _joined(ranges):
        for start, data in _pieces(crash, first, end):
            yield start, base64.b64encode(data).decode()


def _joined(ranges: List[Tuple[int, int]]) -> Iterator[Tuple[int, int]]:
    """The ranges in order, those that touch or overlap as one."""
    last = None
    for first, end in sorted(ranges):
        if last is not None and first <= last[1]:
            last = (last[0], max(last[1], end))
            continue
        if last is not None:
            yield last
        last = (first, end)
    if last is not None:
        yield last


def _pieces(crash: Any, first: int, end: int) -> Iterator[Tuple[int, bytes]]:
    """What of a range can be read: halves of what can't be as a whole."""
    try:
        yield first, crash.readmem(first, end - first)
        return
    except crash.error:
        if end - first <= _HOLE_STEP:
            return
    middle = (first + end) // 2 // _HOLE_STEP * _HOLE_STEP
    if middle <= first:
        middle = first + _HOLE_STEP
    yield from _pieces(crash, first, middle)
    yield from _pieces(crash, middle, end)


def main(arguments: List[str]) -> None:
    if not arguments:
        page = "Used by python -m tests.record, which writes its REQUEST."
        host_module().register_epython_prog("slabrecord", "notes questions", "REQUEST", page)
        return
    with open(arguments[0], encoding="utf-8") as file:
        request = json.load(file)
    notes = record(request)
    with open(request["out"], "w", encoding="utf-8") as file:
        json.dump(notes, file)


if __name__ == "__main__":
    main(sys.argv[1:])
