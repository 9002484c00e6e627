# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in keeps the contract of PyKdump's module `crash`, errors included."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

from mocks.crash_module import FakeCrash, Longjmp, install
from mocks.image import Hole, Image


@pytest.fixture
def image() -> Image:
    image = Image()
    image.map(0x1000, bytes(range(256)))
    image.map(0x1100, b"\xfe\xff\xff\xff\xff\xff\xff\xff")
    image.symbols = {"first": 0x1000, "second": 0x1010}
    image.structs = {"page": (64, {"flags": (0, 8), "inuse": (40, 4)})}
    image.enums = {"PG_slab": 7}
    image.modules = [("slab_test", 0x7000, 0x8000)]
    image.page_offset = 0xFFFF880000000000
    image.vmemmap = 0xFFFFEA0000000000
    image.present = [(0, 16), (32, 48)]
    return image


@pytest.fixture
def crash(image: Image) -> FakeCrash:
    return FakeCrash(image)


def test_error_is_an_exception_and_nothing_more(crash: FakeCrash) -> None:
    assert crash.error.__mro__[1:] == (Exception, BaseException, object)


def test_install_is_what_import_finds_and_leaves_nothing(crash: FakeCrash) -> None:
    assert "crash" not in sys.modules
    with install(crash):
        assert __import__("crash") is crash
    assert "crash" not in sys.modules


def test_symbols(crash: FakeCrash) -> None:
    assert crash.symbol_exists("first") == 1
    assert crash.symbol_exists("none") == 0
    assert crash.sym2addr("second") == 0x1010
    assert crash.sym2addr("none") == 0
    assert crash.sym2alladdr("second") == [0x1010]
    assert crash.sym2alladdr("none") == []


def test_names_of_addresses(crash: FakeCrash) -> None:
    assert crash.addr2sym(0x1010) == "second"
    assert crash.addr2sym(0x1011) is None
    assert crash.addr2sym(0x1011, True) == ("second", 1)
    assert crash.addr2sym(0xFFF, True) == (None, None)
    assert crash.addr2sym(0xFFFF880000000000, True) == (None, None)
    assert crash.addr2mod(0x7FFF) == "slab_test"
    assert crash.addr2mod(0x8000) is None


def test_reads_go_across_extents_and_are_counted(crash: FakeCrash) -> None:
    assert crash.readmem(0x10FE, 4) == b"\xfe\xff\xfe\xff"
    assert crash.readPtr(0x1000) == 0x0706050403020100
    assert (crash.reads, crash.bytes_read) == (2, 12)


@pytest.mark.parametrize(("size", "expected"), [(1, -2), (2, -2), (4, -2), (8, -2)])
def test_integers_with_a_sign(crash: FakeCrash, size: int, expected: int) -> None:
    assert crash.readInt(0x1100, size, True) == expected
    assert crash.readInt(0x1100, size) == expected + (1 << 8 * size)


def test_address_zero(crash: FakeCrash) -> None:
    with pytest.raises(IndexError):
        crash.readmem(0, 8)
    with pytest.raises(IndexError):
        crash.readPtr(0)
    with pytest.raises(crash.error):
        crash.readInt(0, 8)


@pytest.mark.parametrize(
    "arguments",
    [
        (0x5000, 8),
        (0x1104, 8),
        (0x1000, 0),
        (0x1000, -1),
        (-1, 8),
        (1 << 64, 8),
        ("1000", 8),
        (4096.0, 8),
        (0x1000,),
        (0x1000, 8, 1, 1),
    ],
)
def test_what_readmem_refuses(crash: FakeCrash, arguments: Any) -> None:
    with pytest.raises(crash.error):
        crash.readmem(*arguments)


def test_a_failed_read_moves_no_bytes(crash: FakeCrash) -> None:
    with pytest.raises(crash.error):
        crash.readmem(0x5000, 8)
    assert (crash.reads, crash.bytes_read) == (1, 0)


def test_user_memory_escapes_every_handler(crash: FakeCrash) -> None:
    with pytest.raises(Longjmp):
        crash.readmem(0x1000, 8, crash.UVADDR)
    assert not issubclass(Longjmp, Exception)


def test_physical_memory(crash: FakeCrash, image: Image) -> None:
    image.map(image.page_offset + 0x2000, b"physical")
    assert crash.readmem(0x2000, 8, crash.PHYSADDR) == b"physical"


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("sym2addr", (1,)),
        ("sym2addr", ()),
        ("symbol_exists", ("a", "b")),
        ("addr2sym", ("first",)),
        ("struct_size", (b"page",)),
        ("member_offset", ("page",)),
        ("enumerator_value", (None,)),
        ("readInt", (0x1000, 3)),
        ("exec_crash_command", (1,)),
        ("register_epython_prog", ("a", "b", "c")),
    ],
)
def test_a_wrong_argument_is_no_type_error(crash: FakeCrash, function: str, arguments: Any) -> None:
    with pytest.raises(crash.error, match="invalid parameter type"):
        getattr(crash, function)(*arguments)


def test_types(crash: FakeCrash) -> None:
    assert crash.struct_size("page") == crash.struct_size("struct page") == 64
    assert crash.struct_size("slab") == -1
    assert crash.member_offset("struct page", "inuse") == 40
    assert crash.member_offset("page", "lru") == -1
    assert crash.member_offset("slab", "inuse") == -1
    assert crash.member_size("page", "inuse") == 4
    assert crash.member_size("page", "lru") == 0
    assert crash.enumerator_value("PG_slab") == 7
    assert crash.enumerator_value("PGTY_slab") is None


def test_commands(crash: FakeCrash) -> None:
    assert crash.exec_crash_command("ptov 1000") == (
        "VIRTUAL           PHYSICAL\nffff880000001000  1000\n"
    )
    assert crash.exec_crash_command("set redzone") == "crash: command not found: set\n"
    crash.commands["set"] = lambda line: f"[{line}]\n"
    assert crash.exec_crash_command("set redzone", 1) == "[set redzone]\n"
    crash.commands["set redzone"] = "redzone: on\n"
    assert crash.exec_crash_command("set redzone") == "redzone: on\n"


def test_a_failing_or_silent_command_raises(crash: FakeCrash) -> None:
    with pytest.raises(crash.error):
        crash.exec_crash_command("ptov nonsense")
    with pytest.raises(crash.error):
        crash.exec_crash_command("log")
    crash.image.log = "[    0.000000] Linux version\n"
    assert crash.exec_crash_command("log") == crash.image.log


def test_interrupt_in_a_command_becomes_its_error(crash: FakeCrash) -> None:
    def stopped(line: str) -> str:
        raise KeyboardInterrupt("the output so far")

    crash.commands["kmem"] = stopped
    with pytest.raises(crash.error, match="the output so far"):
        crash.exec_crash_command("kmem -s")


def test_a_command_in_a_child(crash: FakeCrash) -> None:
    reading, child = crash.exec_crash_command_bg2("ptov 0")
    with os.fdopen(reading) as stream:
        assert stream.read().endswith("ffff880000000000  0\n")
    assert os.waitpid(child, 0) == (child, 0)


def test_a_hook_may_change_memory_or_stop(crash: FakeCrash) -> None:
    crash.on_read = lambda address, size: crash.image.u8(address, 0x55)
    assert crash.readmem(0x1000, 2) == b"\x55\x01"

    def stop(address: int, size: int) -> None:
        raise KeyboardInterrupt

    crash.on_read = stop
    with pytest.raises(KeyboardInterrupt):
        crash.readmem(0x1000, 2)


def test_pages_of_absent_sections(crash: FakeCrash, image: Image) -> None:
    assert crash.phys_to_page(0xF123) == image.vmemmap + 15 * 64
    assert crash.phys_to_page(0x10000) is None
    assert crash.phys_to_page(0x20000) == image.vmemmap + 32 * 64
    assert crash.phys_to_page(0x30000) is None
    assert image.max_pfn == 48


def test_programs_are_registered_once(crash: FakeCrash, capsys: pytest.CaptureFixture[str]) -> None:
    assert crash.register_epython_prog("slabdup", "short", "synopsis", "text") is True
    assert crash.register_epython_prog("slabdup", "short", "synopsis", "text") is False
    assert "slabdup" in capsys.readouterr().out
    assert crash.get_epython_cmds() == ["slabdup"]
    crash.pykdump = True
    assert crash.get_epython_cmds() == ["epython", "slabdup"]


def test_gdb(crash: FakeCrash) -> None:
    assert crash.get_GDB_output("p 1") is None
    crash.gdb["p 1"] = "$1 = 1\n"
    assert crash.get_GDB_output("p 1") == "$1 = 1\n"
    with pytest.raises(crash.error, match="PyKdump/GDB error"):
        crash.gdb_typeinfo("struct page")
    crash.typeinfo["struct page"] = {"codetype": 3}
    assert crash.gdb_whatis("struct page") == {"codetype": 3}


def test_unmapping_cuts_extents(image: Image) -> None:
    image.unmap(0x1080, 0x81)
    assert image.read(0x1000, 0x80) == bytes(range(0x80))
    assert image.read(0x1101, 7) == b"\xff" * 7
    for address in (0x1080, 0x10FF, 0x1100):
        with pytest.raises(Hole):
            image.read(address, 1)


def test_a_write_into_a_hole_changes_nothing(image: Image) -> None:
    with pytest.raises(Hole):
        image.write(0x1106, b"abcd")
    assert image.read(0x1106, 2) == b"\xff\xff"


def test_extents_never_overlap(image: Image) -> None:
    for address, size in ((0xFFF, 2), (0x1050, 1), (0x1107, 9)):
        with pytest.raises(ValueError, match="overlaps"):
            image.map(address, bytes(size))
