# SPDX-License-Identifier: GPL-3.0-or-later
"""Who allocated objects, as lines: a group by stack, by line of source, by memcg.

Plain values only; names of addresses come from the function that is handed in.
"""

from __future__ import annotations

from typing import Callable, List, Mapping, Optional, Sequence

from crash_ext.report.text import plural, printable

NameOf = Callable[[int], Optional[str]]
"""Address -> its symbol as text (slabtest_init+12), None where it has none."""

_PIDS = 8
"""So many are told one by one."""


def group_lines(
    count: int,
    size: int,
    oldest: int,
    seconds: Optional[float],
    caller: int,
    frames: Sequence[int],
    pids: Sequence[int],
    tasks: Optional[Mapping[int, str]],
    name_of: NameOf,
    cpu: Optional[int] = None,
) -> List[str]:
    """Objects with one allocation stack: how many, which is the oldest, who, from where.

    size: bytes in all. oldest: the address of the oldest object, seconds: its age, cpu: where
    it was allocated. tasks: PID -> name, of those that are alive; None: nobody has looked.
    """
    head = f"{plural(count, 'object')}, {size} bytes, allocated by {_place(caller, name_of)}"
    when = f"  oldest [{oldest:x}]: {age(seconds)}"
    if cpu is not None:
        when += f", cpu {cpu}"
    lines = [head, when, f"  {_processes(pids, tasks)}"]
    lines += [f"    {_place(frame, name_of)}" for frame in frames]
    return lines


def tag_line(
    count: int, size: int, file: bytes, line: int, function: bytes, module: Optional[bytes]
) -> str:
    """Objects that one line of source has allocated."""
    where = f"{printable(file)}:{line}, {printable(function)}()"
    if module is not None:
        where += f" [{printable(module)}]"
    return f"{plural(count, 'object')}, {size} bytes, allocated at {where}"


def memcg_line(
    count: int, size: int, address: int, number: Optional[int], path: Optional[bytes]
) -> str:
    """Objects that one memcg pays for; its path, where it can be read."""
    named = f" (id {number})" if number is not None else ""
    where = f" {printable(path)}" if path is not None else ""
    return f"{plural(count, 'object')}, {size} bytes, charged to memcg {address:x}{named}{where}"


def age(seconds: Optional[float]) -> str:
    """An age as one reads it: "0.324 s old", "3 min 20 s old", "2 d 3 h old"."""
    if seconds is None:
        return "of unknown age"
    if seconds < 60:
        return f"{seconds:.3f} s old"
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour} h old"
    return f"{hours} h {minute} min old" if hours else f"{minutes} min {second} s old"


def _place(address: int, name_of: NameOf) -> str:
    name = name_of(address)
    return f"{address:x}" if name is None else f"{address:x} {printable(name.encode())}"


def _processes(pids: Sequence[int], tasks: Optional[Mapping[int, str]]) -> str:
    shown = [_process(pid, tasks) for pid in pids[:_PIDS]]
    if len(pids) > _PIDS:
        shown.append(f"{len(pids) - _PIDS} more")
    return f"pid {', '.join(shown)}"


def _process(pid: int, tasks: Optional[Mapping[int, str]]) -> str:
    """A number may have been used again: the task that has it now needn't be the one."""
    if pid == 0:
        return "0 (idle)"
    if tasks is None:
        return str(pid)
    if pid not in tasks:
        return f"{pid} (gone)"
    return f"{pid} (now {printable(tasks[pid].encode())})"
