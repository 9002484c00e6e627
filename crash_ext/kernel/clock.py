# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's clock: jiffies, how many of them are a second, and how old a moment is.

Knows what the kernel's memory holds of time. Doesn't know what happened then.
"""

from __future__ import annotations

from typing import Optional

from crash_ext.kernel.memory import read_symbol_number
from crash_ext.kernel.structs import MissingMember, Struct
from crash_ext.reader import Reader, ReadError

_NANOSECONDS = 1_000_000_000
_HZ_BOUND = 100_000
"""Debian's kernels have 250 or 1000; no architecture offers more than 1200."""


class Clock:
    """hz: jiffies a second, None where unknown."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._mask = (1 << 8 * reader.word) - 1
        self.hz: Optional[int] = _hz(reader)
        self._now = self._read()
        self.runs: bool = self._now is not None
        """The kernel's jiffies can be read."""

    def age(self, when: int) -> Optional[int]:
        """Jiffies from a moment to now; None for one in the future or before the boot."""
        age = self._age(when)
        if age is None:
            # A live kernel's clock goes on.
            self._now = self._read()
            age = self._age(when)
        return age

    def seconds(self, jiffies: Optional[int]) -> Optional[float]:
        """So many jiffies in seconds, None where HZ isn't known."""
        return None if jiffies is None or not self.hz else jiffies / self.hz

    def seconds_since(self, nanoseconds: int) -> Optional[float]:
        """Seconds from a moment in ns since the boot to now; None where HZ isn't known."""
        uptime = self.seconds(self._uptime())
        return None if uptime is None else uptime - nanoseconds / _NANOSECONDS

    def age_of_nanoseconds(self, since_boot: int) -> Optional[int]:
        """Jiffies from a moment of local_clock() to now; None as age().

        local_clock() and jiffies start some moments apart at boot: a moment that seems to be
        in the future by less than a second is now.
        """
        uptime = self._uptime()
        if uptime is None or not self.hz:
            return None
        age = uptime - since_boot * self.hz // _NANOSECONDS
        return max(age, 0) if age > -self.hz else None

    def _age(self, when: int) -> Optional[int]:
        if self._now is None:
            return None
        age = (self._now - when) & self._mask
        uptime = self._uptime()
        return age if age <= (self._mask >> 1 if uptime is None else uptime) else None

    def _uptime(self) -> Optional[int]:
        """Jiffies since boot, None where HZ isn't known."""
        if self._now is None or not self.hz:
            return None
        # INITIAL_JIFFIES: the lower 32 bits overflow five minutes after the boot.
        return (self._now - ((1 << 32) - 300 * self.hz)) & self._mask

    def _read(self) -> Optional[int]:
        now = read_symbol_number(self._reader, "jiffies", self._reader.word)
        if now is None:
            now = read_symbol_number(self._reader, "jiffies_64", 8)
        return None if now is None else now & self._mask


def _hz(reader: Reader) -> Optional[int]:
    """HZ out of the clock source that counts jiffies: its mult is a jiffy in shifted ns.

    HZ is a macro and no variable has it. crash knows it (crash.HZ), but PyKdump needn't.
    """
    source = reader.symbol("clocksource_jiffies")
    if source is None:
        return None
    try:
        struct = Struct(reader, "clocksource", ("mult", "shift"))
        data = reader.read(source, struct.span())
    except (MissingMember, ReadError):
        return None
    nanoseconds = struct.value(data, "mult") >> min(struct.value(data, "shift"), 32)
    hz = (_NANOSECONDS + nanoseconds // 2) // nanoseconds if nanoseconds else 0
    return hz if 0 < hz <= _HZ_BOUND else None
