# SPDX-License-Identifier: GPL-3.0-or-later
"""The CPUs' own stacks for interrupts (x86-64): where they are, and which part is live.

A CPU that is not in an interrupt has nothing on its stack: what lies there is of former ones.
Known where the kernel notes whether the stack is in use.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional

from crash_ext.kernel.memory import try_number
from crash_ext.reader import Reader

_POINTER, _IN_USE = "hardirq_stack_ptr", "hardirq_stack_inuse"


class InterruptStack(NamedTuple):
    """A CPU's stack for interrupts and softirqs."""

    cpu: int
    start: int
    """Its lowest address in the CPU's own area."""
    mapped: int
    """The same where the kernel has it mapped: there stack pointers and frames' addresses lead."""
    size: int
    dead: int
    """Bytes from the start on that are not in use."""

    def own(self, address: int) -> Optional[int]:
        """An address in it as one of the CPU's own area; None for one elsewhere."""
        for base in (self.start, self.mapped):
            if base <= address < base + self.size:
                return self.start + address - base
        return None


def interrupt_stacks(reader: Reader) -> List[InterruptStack]:
    """Those of all CPUs; none where the kernel doesn't tell."""
    store, size = reader.symbol("irq_stack_backing_store"), reader.struct_size("irq_stack")
    if store is None or not size:
        return []
    found = []
    registers = reader.registers()
    for cpu in reader.possible_cpus():
        start = reader.percpu(store, cpu)
        top, used = _number(reader, _POINTER, cpu, reader.word), _number(reader, _IN_USE, cpu, 1)
        if start is None or not top or used is None:
            continue
        # The pointer is to the topmost word.
        mapped = top + reader.word - size
        pointer = registers.get(cpu, {}).get("RSP", 0)
        dead = pointer - mapped if mapped <= pointer < mapped + size else 0
        found.append(InterruptStack(cpu, start, mapped, size, dead if used else size))
    return found


def _number(reader: Reader, name: str, cpu: int, size: int) -> Optional[int]:
    """A CPU's own variable."""
    symbol, at = reader.symbol(name), 0
    if symbol is None:
        # Linux kernel commit d7b6d709a76a ("x86/percpu: Move irq_stack variables next to
        # current_task") (in v6.2): in struct pcpu_hot; from v6.15 on variables again.
        symbol, at = reader.symbol("pcpu_hot"), reader.offset("pcpu_hot", name) or 0
        if not at:
            return None
    own = None if symbol is None else reader.percpu(symbol + at, cpu)
    return None if own is None else try_number(reader, own, size)
