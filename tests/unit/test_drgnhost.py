# SPDX-License-Identifier: GPL-3.0-or-later
"""drgn's answers as crash gives them, where a dump of the lab doesn't show it: a stand-in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import drgn
import pytest

from crash_ext.host.drgnhost import DrgnHost, HostError


class Program:
    """A kernel of s390x whose memory can't be read, for a reason in libkdumpfile's words."""

    platform = drgn.Platform(drgn.Architecture.S390X, drgn.PlatformFlags.IS_64_BIT)

    def __init__(self, reason: str) -> None:
        self._reason = reason
        self._types = drgn.Program(self.platform)

    def type(self, name: str) -> drgn.Type:
        return self._types.struct_type(name.split()[1], 16, ())

    def symbol(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(name=name, address=0x3FFFFD74F00)

    def __getitem__(self, name: str) -> Any:
        return {"PAGE_SIZE": 4096}[name]

    def read(self, address: int, size: int, physical: bool = False) -> bytes:
        raise drgn.FaultError(self._reason, address)


def host(reason: str) -> DrgnHost:
    return DrgnHost(cast(drgn.Program, Program(reason)))


def test_addresses_that_drgn_knows_no_way_for_are_one_line() -> None:
    """A kdump of s390x's kernels since 6.10, with drgn 0.3.0: each read would fail for it."""
    with pytest.raises(HostError) as raised:
        host("could not read memory from kdump: Cannot get page I/O address: No way to translate")
    assert str(raised.value) == (
        "drgn can't translate the addresses of this s390x kernel in this form of dump:"
        " it can in an ELF dump (makedumpfile -E)"
    )


def test_of_a_damaged_dump_that_is_not_claimed() -> None:
    asked = host("could not read memory from kdump: PDPT table not present: p4d[511] = 0x0")
    with pytest.raises(HostError, match="PDPT table not present"):
        asked.readmem(0x3FFFFD74F00, 8)
