# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples on the help pages, written by running them: `make examples`.

They run on the recording of the lab's dump 6.1 leak: real memory, and what is printed from it
is what real crash printed (tests/record). A help page says `crash> LINE` once for each of its
command's lines below, in their order; what follows, up to an empty line, is the output.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, Iterator, List
from unittest.mock import patch

from mocks.crash_module import FakeCrash
from tests.replay import COMMANDS, recorded, run_line

RECORDING = "lab-6.1-leak"

LINES: Dict[str, List[str]] = {
    "slabdup": ["slabdup", "slabdup slab_test"],
    "slabobjs": [
        "slabobjs -l 1 {leftover}",
        "slabobjs -e -l 1 {leftover}",
        "slabobjs -g -b 48 slab_test",
        "slabobjs -b 16 {inside}",
        "slabobjs -q {leftover} > addresses",
    ],
    "slabwhy": ["slabwhy -F"],
    # A recording has no room for all memory.
    "slablost": ["slablost > lost", "slablost -q kmalloc-64 > addresses"],
}
"""Command -> its page's lines. leftover: the cache; inside: an address in a lost object."""

INDENT = "    "
WIDTH = 80 - len(INDENT)
HEADING = "\nEXAMPLES\n"
_SOURCES = Path(__file__).resolve().parents[2] / "crash_ext"


def meant(line: str) -> str:
    """The command line with the recording's addresses in it."""
    truth = recorded(RECORDING).truth
    leftover = truth["caches"]["slab_test"]["leftover"]["kmem_cache"]
    lost = truth["objects"]["slab_test"]["leftover"]["leaked"][0]["addr"]
    return line.format(leftover=leftover, inside=f"{int(lost, 16) + 0x20:x}")


def output(line: str) -> List[str]:
    """What the line prints, no wider than the page; nothing where it goes into a file."""
    if " > " in line:
        return []
    fake = FakeCrash(recorded(RECORDING).image)
    with patch("crash_ext.report.text.WIDTH", WIDTH):
        said = run_line(fake, line)
    return [narrow(text).rstrip() for text in said.splitlines()]


def narrow(text: str) -> str:
    """A line of output that fits the page: two dots stand for what was left out."""
    if len(text) <= WIDTH:
        return text
    if re.match(r"CACHE  |[0-9a-f]{16}  ", text):
        # slabdup's table, without SSIZE and REFS.
        text = f"{text[:51]}  ..  {text[65:]}"
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]} .."


def renewed(name: str, text: str) -> str:
    """A help page with the output of each example as it is now."""
    lines = [meant(line) for line in LINES[name]]
    head, heading, tail = text.partition(HEADING)
    kept = list(_without_output(tail))
    places = [number for number, line in enumerate(kept) if line.startswith(f"{INDENT}crash> ")]
    if not heading or len(places) != len(lines):
        raise ValueError(f"{name}: {len(places)} examples on the page, {len(lines)} lines here")
    for number, line in reversed(list(enumerate(lines))):
        shown = [f"crash> {line}", *output(line)]
        kept[places[number] : places[number] + 1] = [(INDENT + one).rstrip() for one in shown]
    return head + heading + "\n".join(kept)


def _without_output(tail: str) -> Iterator[str]:
    below = False
    for line in tail.split("\n"):
        is_example = line.startswith(f"{INDENT}crash> ")
        if not line or is_example or not below:
            yield line
        below = bool(line) and (below or is_example)


def main() -> None:
    """Writes the pages' examples anew into the commands' files."""
    for name, command in COMMANDS.items():
        path = _SOURCES / f"{name}.py"
        source = path.read_text(encoding="utf-8")
        old, new = (
            text.partition(HEADING)[2].replace("\\", "\\\\")
            for text in (command.text, renewed(name, command.text))
        )
        if source.count(old) != 1:
            raise ValueError(f"{path}: the page's examples are not in it once")
        path.write_text(source.replace(old, new), encoding="utf-8")


if __name__ == "__main__":
    main()
