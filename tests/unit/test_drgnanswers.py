# SPDX-License-Identifier: GPL-3.0-or-later
"""What the drgn host answers, and how it refuses, on a program with some memory and types."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

import drgn
import pytest

from crash_ext.host.drgnhost import DrgnHost, HostError
from crash_ext.host.drgnshow import Shown
from crash_ext.host.drgnsymbols import SymbolTable

AT = 0x1000
Maker = Callable[[drgn.Program], drgn.Type]


def int_type(program: drgn.Program) -> drgn.Type:
    return program.int_type("int", 4, True)


def list_head(program: drgn.Program) -> drgn.Type:
    return program.struct_type(
        "list_head",
        16,
        [
            drgn.TypeMember(program.pointer_type(program.void_type()), "next"),
            drgn.TypeMember(program.pointer_type(program.void_type()), "prev", 64),
        ],
    )


def conn(program: drgn.Program) -> drgn.Type:
    char = program.int_type("char", 1, True)
    empty = program.struct_type("lock_class_key", 0, [])
    return program.struct_type(
        "conn",
        16,
        [
            drgn.TypeMember(int_type(program), "serial"),
            drgn.TypeMember(empty, "key", 32),
            drgn.TypeMember(program.pointer_type(char), "name", 64),
        ],
    )


def program(
    *makers: Maker, page_size: Optional[int] = 4096, memory: bytes = bytes(64)
) -> drgn.Program:
    """One with these types, PAGE_SIZE and, from AT on, this memory."""
    made = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    types: Dict[Optional[str], drgn.Type] = {}
    for maker in makers:
        kind = maker(made)
        types[kind.tag] = kind

    def find_type(
        program: drgn.Program, kinds: Any, name: str, filename: Optional[str]
    ) -> Optional[drgn.Type]:
        return types.get(name) if drgn.TypeKind.STRUCT in kinds else None

    def find_object(
        program: drgn.Program, name: str, flags: Any, filename: Optional[str]
    ) -> Optional[drgn.Object]:
        if name == "PAGE_SIZE" and page_size is not None:
            return drgn.Object(made, int_type(made), page_size)
        return None

    def read(address: int, count: int, offset: int, physical: bool) -> bytes:
        return memory[offset : offset + count]

    made.register_type_finder("tests", find_type, enable_index=0)
    made.register_object_finder("tests", find_object, enable_index=0)
    made.add_memory_segment(AT, len(memory), read)
    return made


def host() -> DrgnHost:
    return DrgnHost(program(list_head))


def test_a_kernel_without_debug_information_is_refused() -> None:
    with pytest.raises(HostError, match=r"^no debug information of the kernel$"):
        DrgnHost(program())


def test_a_dump_that_does_not_tell_its_page_size_is_refused() -> None:
    with pytest.raises(HostError, match=r"^the dump doesn't tell its page size: "):
        DrgnHost(program(list_head, page_size=None))


def test_address_0_is_refused_as_crash_refuses_it() -> None:
    with pytest.raises(IndexError, match=r"^read at address 0$"):
        host().readmem(0, 8)


@pytest.mark.parametrize(("address", "size"), [(AT, 0), (AT, -1), (-8, 8), ((1 << 64) - 4, 8)])
def test_what_no_memory_can_be_is_refused(address: int, size: int) -> None:
    with pytest.raises(HostError) as caught:
        host().readmem(address, size)
    assert str(caught.value) == f"cannot read {size} bytes at {address:x}"


def test_memory_that_is_there_is_read_and_what_is_not_is_a_fault() -> None:
    assert host().readmem(AT + 8, 16) == bytes(16)
    with pytest.raises(HostError):
        host().readmem(AT + 64, 8)


def test_crashs_own_settings_are_its_defaults_here() -> None:
    made = host()
    assert made.exec_crash_command("set redzone") == "redzone: on\n"
    assert made.exec_crash_command("set zero_excluded") == "zero_excluded: off\n"
    assert made.how_to_load() == "-s FILE"


def test_a_program_without_a_dump_says_so_where_crash_names_the_dump() -> None:
    assert host().exec_crash_command("sys") == "    DUMPFILE: memory\n"


def test_other_commands_of_crash_are_not_answered() -> None:
    with pytest.raises(HostError, match=r"^kmem -s: no command of drgn's$"):
        host().exec_crash_command("kmem -s")


def test_a_running_system_has_no_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DrgnHost, "_live", True)
    with pytest.raises(HostError, match=r"^help -r: no registers of a running system$"):
        host().exec_crash_command("help -r")


def test_the_registers_of_each_cpu_stand_in_crashs_form(monkeypatch: pytest.MonkeyPatch) -> None:
    def online(program: drgn.Program) -> List[int]:
        return [0, 3]

    def values(self: DrgnHost, cpu: int) -> Dict[str, int]:
        return {"rip": 0x1000 + cpu, "rsp": 0x2000}

    monkeypatch.setattr("crash_ext.host.drgnhost.for_each_online_cpu", online)
    monkeypatch.setattr(DrgnHost, "_registers_of", values)
    assert host().exec_crash_command("help -r") == (
        "CPU 0:\n    RIP: 0000000000001000  RSP: 0000000000002000\n"
        "\n"
        "CPU 3:\n    RIP: 0000000000001003  RSP: 0000000000002000\n"
    )


def test_the_direct_map_is_told_as_crashs_ptov_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def virtual(program: drgn.Program, physical: int) -> drgn.Object:
        return drgn.Object(program, program.int_type("long", 8, False), 0xFFFF888000000000)

    monkeypatch.setattr("crash_ext.host.drgnhost.phys_to_virt", virtual)
    told = host().exec_crash_command("ptov 0")
    assert told == "VIRTUAL           PHYSICAL\nffff888000000000  0\n"


def shown(expression: str, address: Optional[int], memory: bytes = bytes(64)) -> str:
    made = program(conn, memory=memory)
    return Shown(made, SymbolTable(made)).text("struct", expression, address)


@pytest.mark.parametrize("name", ["nosuch", "conn.nosuch"])
def test_an_unknown_structure_or_member_is_refused_in_crashs_words(name: str) -> None:
    with pytest.raises(LookupError) as caught:
        shown(name, AT)
    assert caught.value.args == (f"invalid data structure reference: {name}",)


def test_an_empty_member_and_a_string_that_is_not_there_are_shown_as_gdb_shows_them() -> None:
    memory = (7).to_bytes(8, "little") + (0x5000).to_bytes(8, "little")
    assert shown("conn", AT, memory) == (
        "struct conn {\n"
        "  serial = 7,\n"
        "  key = {<No data fields>},\n"
        "  name = 0x5000 <error: Cannot access memory at address 0x5000>\n"
        "}\n"
    )
