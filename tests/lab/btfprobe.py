# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `btfprobe SMALLEST LARGEST STRUCT...` in crash: BTF's answers beside crash's.

JSON: a record for the sizes, with the structures that each has and the CPU time that each took, and
one for each structure, with the members that each has. Started by `extend` it registers itself;
typed, it has arguments.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from typing import Any, Callable, Dict, List, Tuple

if __name__ == "__main__":
    sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(sys.argv[0]), "..", "..")))

from crash_ext.command import session_of
from crash_ext.kernel.kerneltypes import KernelTypes, kernel_types, read_kernel_btf
from crash_ext.reader import Reader


def timed(ask: Callable[[], Any]) -> Tuple[Any, float]:
    """(an answer, the seconds of CPU that it took)"""
    begin = time.process_time()
    answer = ask()
    return answer, time.process_time() - begin


def is_union(name: str) -> bool:
    """Whether crash knows a union of that name and no structure."""
    text: str = import_module("crash").exec_crash_command(f"whatis {name}")
    return text.startswith("union ")


def sizes(reader: Reader, smallest: int, largest: int) -> Dict[str, Any]:
    """By BTF read anew, modules' included, and by the host."""

    def by_btf() -> List[str]:
        types = kernel_types(reader, read_kernel_btf(reader))
        return [each.name for each in types.structs_of_size(smallest, largest)]

    ours, btf_seconds = timed(by_btf)
    theirs, host_seconds = timed(lambda: reader.structs_of_size(smallest, largest))
    # crash names unions, too.
    structs = [name for name in theirs or [] if not is_union(name)]
    return {"btf": ours, "host": structs, "seconds": [btf_seconds, host_seconds]}


def struct(reader: Reader, types: KernelTypes, name: str) -> Dict[str, Any]:
    """The members of a structure, by each."""
    return {
        "struct": name,
        "btf": [[found.size, *map(list, found.members())] for found in types.structs_named(name)],
        "host": [reader.struct_size(name), *map(list, reader.members(name))],
    }


def main(arguments: List[str]) -> None:
    session = session_of(import_module("crash"))
    smallest, largest, *names = arguments
    types = session.types()
    print(json.dumps(sizes(session.reader, int(smallest), int(largest))))
    for name in names:
        print(json.dumps(struct(session.reader, types, name)))
    sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1:])
    else:
        import_module("crash").register_epython_prog("btfprobe", "types by BTF", "", "")
