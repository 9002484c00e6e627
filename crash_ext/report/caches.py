# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines and columns of crash's own `kmem -s` and `kmem -S`, from plain numbers."""

from __future__ import annotations

from typing import Optional

from crash_ext.hexa import hexa

CACHE_HEAD = "CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME"
SLAB_HEAD = "  SLAB              MEMORY            NODE  TOTAL  ALLOCATED  FREE  LIST"


def cache_line(
    address: int, object_size: int, allocated: str, total: str, slabs: str, ssize: int, name: str
) -> str:
    """A cache under CACHE_HEAD, its counts as counted() has them; ssize: bytes of a usual slab."""
    return (
        f"{hexa(address):<16}  {object_size:>7}  {allocated:>9}  {total:>8}  {slabs:>5}"
        f"  {kilobytes(ssize):>5}  {name}"
    )


def slab_line(
    address: int,
    base: int,
    node: Optional[int],
    total: int,
    allocated: Optional[int],
    free: Optional[int],
    place: str,
) -> str:
    """A slab under SLAB_HEAD; "?" stands for what isn't known."""
    return (
        f"  {hexa(address):<16}  {hexa(base):<16}  {_known(node):>4}  {total:>5}"
        f"  {_known(allocated):>9}  {_known(free):>4}  {place}"
    )


def object_line(address: int, state: str, note: Optional[str]) -> str:
    """An object: [address] for allocated, bare for free, as crash lists them.

    note: what holds an object that is free, but not on its slab's freelist.
    """
    if state == "allocated":
        return f"  [{hexa(address)}]"
    remarks = [text for text in (state if state != "free" else None, note) if text]
    return f"   {hexa(address)}" + (f"  ({', '.join(remarks)})" if remarks else "")


def kilobytes(size: int) -> str:
    """Bytes as crash writes a slab's size: 4k."""
    return f"{size // 1024}k"


def _known(number: Optional[int]) -> str:
    return "?" if number is None else str(number)
