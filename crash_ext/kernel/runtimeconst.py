# SPDX-License-Identifier: GPL-3.0-or-later
"""Pointers that the kernel has written into its own code: runtime constants.

Linux kernel commit e3c92e81711d ("runtime constants: add x86 architecture support") (in
v6.11): an address that never changes after boot stands in an instruction, and perhaps in no
variable (the futex hash from the 6.16 tree on). On x86 as one word at any byte; arm64
splits it, which isn't seen. Knows the kernel's text only: modules have none.
"""

from __future__ import annotations

from typing import Iterator, Tuple

from crash_ext.reader import Reader

_CHUNK = 1 << 20
_LONGEST = 1 << 28
_FIRST = "__start_runtime_ptr_dentry_hashtable"
"""The first that there was, and every kernel with any has it."""


def for_each_text_piece(reader: Reader) -> Iterator[Tuple[int, bytes]]:
    """(address, bytes) of kernel code whose words at each byte count; none without constants.

    A piece begins at each byte of a word but the first: words are read from its start on.
    What can't be read is left out.
    """
    start, end = reader.symbol("_stext"), reader.symbol("_etext")
    if reader.symbol(_FIRST) is None or start is None or end is None:
        return
    word = reader.word
    for at in range(start, min(end, start + _LONGEST), _CHUNK):
        size = min(_CHUNK, end - at)
        # The last words of a piece end in the next.
        data = reader.try_read(at, min(size + word, end - at))
        if data is not None:
            for shift in range(1, word):
                yield at + shift, data[shift:]
