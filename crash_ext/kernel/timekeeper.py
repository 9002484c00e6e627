# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's clocks as its struct timekeeper last had them: at the dump's last tick.

Knows the wall clock and CLOCK_MONOTONIC. Doesn't know what went by since that tick.
"""

from __future__ import annotations

from typing import Optional

from crash_ext.kernel.memory import read_number
from crash_ext.kernel.structs import MissingMember, Struct
from crash_ext.reader import Reader, ReadError


def wall_clock(reader: Reader) -> Optional[int]:
    """Seconds since 1970; None where they aren't to be had."""
    address = _timekeeper(reader)
    if address is None:
        return None
    try:
        keeper = Struct(reader, "timekeeper", ("xtime_sec",))
        at = address + keeper.offset("xtime_sec")
        return read_number(reader, at, keeper.size("xtime_sec"))
    except (MissingMember, ReadError):
        return None


def monotonic(reader: Reader) -> Optional[int]:
    """CLOCK_MONOTONIC in nanoseconds, as hrtimers have it; None where it isn't to be had.

    Linux kernel commit d28ede83791d ("timekeeping: Create struct tk_read_base and use it in
    struct timekeeper") (in v3.17); commit 876e78818def (in v4.0) named it tkr_mono.
    """
    address = _timekeeper(reader)
    if address is None:
        return None
    try:
        keeper = Struct(reader, "timekeeper", ("tkr_mono",))
        struct = Struct(reader, "tk_read_base", ("base", "xtime_nsec", "shift"))
        data = reader.read(address + keeper.offset("tkr_mono"), struct.span())
    except (MissingMember, ReadError):
        return None
    shift = min(struct.value(data, "shift"), 63)
    return struct.value(data, "base") + (struct.value(data, "xtime_nsec") >> shift)


def _timekeeper(reader: Reader) -> Optional[int]:
    """Address of the struct timekeeper of the wall clock, or of its copy of the last tick."""
    # An array of tk_data since auxiliary clocks are there; read in 7.3.
    for name in ("timekeeper_data", "tk_core"):
        address = reader.symbol(name)
        offset = reader.offset("tk_data", "timekeeper")
        if address is not None and offset is not None:
            return address + offset
    # Linux kernel commit 20c7b582e88b ("timekeeping: Move shadow_timekeeper into tk_core")
    # (in v6.13). Before it, tk_core's type has no name.
    return reader.symbol("shadow_timekeeper")
