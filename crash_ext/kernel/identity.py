# SPDX-License-Identifier: GPL-3.0-or-later
"""Which machine's memory this is, and of which moment: what the kernel itself keeps of it.

Knows nothing of files: the dump's own name is the host's to tell.
"""

from __future__ import annotations

import time
from typing import NamedTuple, Optional

from crash_ext.kernel.structs import MissingMember, Struct
from crash_ext.kernel.timekeeper import wall_clock
from crash_ext.kernel.vmcoreinfo import release
from crash_ext.reader import Reader, ReadError


class Identity(NamedTuple):
    """Of which dump an output is; None where a part isn't to be had."""

    dump: Optional[str]
    """The file, as the host names it."""
    date: Optional[str]
    """Of the kernel's clock: ISO 8601 in UTC, to the second."""
    host: Optional[bytes]
    """As `uname -n`."""
    release: Optional[bytes]
    """As `uname -r`."""


def identity(reader: Reader, dump: Optional[str]) -> Identity:
    """Which dump this is; dump: its name."""
    return Identity(dump, moment(reader), host_name(reader), release(reader))


def host_name(reader: Reader) -> Optional[bytes]:
    """As `uname -n` in the first namespace; None where it isn't to be had."""
    names = reader.symbol("init_uts_ns")
    try:
        namespace = Struct(reader, "uts_namespace", ("name",))
        names_in = Struct(reader, "new_utsname", ("nodename",))
        if names is None:
            return None
        at = names + namespace.offset("name") + names_in.offset("nodename")
        name, ended, _ = reader.read(at, names_in.size("nodename")).partition(b"\0")
    except (MissingMember, ReadError):
        return None
    return name if ended and name else None


def moment(reader: Reader) -> Optional[str]:
    """The kernel's date as ISO 8601 in UTC, to the second; None where it isn't to be had."""
    try:
        seconds = wall_clock(reader)
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else None
    except (ValueError, OverflowError, OSError):
        return None
