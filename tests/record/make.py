# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a recording of a lab dump, small, and proves that it replays.

Runs slabrecord.py in real crash and turns its notes into a mocks.recording.Recording.
"""

from __future__ import annotations

import json
import re
import tempfile
from base64 import b64decode
from difflib import unified_diff
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

from mocks.crash_module import CrashError, FakeCrash
from mocks.image import ByteOrder, Image
from mocks.recording import Recording
from tests import lab
from tests.lab.session import SLABLEAK
from tests.record.lines import for_each_cache, printed_lines, unprinted_lines
from tests.replay import run_line

SLABRECORD = Path(__file__).with_name("slabrecord.py")

Notes = Dict[str, Any]


class NotReplayed(Exception):
    """The recording doesn't answer as crash did."""


def make(kernel: str, scenario: str, version: str) -> Recording:
    """A recording of that dump, by that release of crash. Raises NotReplayed, lab's errors."""
    dump = lab.dump(kernel, scenario)
    notes = _notes(dump, version)
    recording = assemble(kernel, scenario, version, dump.truth, notes)
    check(recording, notes)
    return recording


def _notes(dump: lab.Dump, version: str) -> Notes:
    with tempfile.TemporaryDirectory(prefix="slableak-record-") as folder:
        request, out = Path(folder) / "request", Path(folder) / "notes"
        request.write_text(
            json.dumps(
                {
                    "lines": printed_lines(dump.truth),
                    "unprinted": unprinted_lines(dump.truth),
                    "caches": [address for _, _, address in for_each_cache(dump.truth)],
                    "out": str(out),
                }
            )
        )
        arch = lab.find_kernel(dump.kernel).arch
        said = lab.crash(version, arch).run(
            dump.vmlinux,
            dump.vmcore,
            [
                f"extend {lab.build_loader(version, arch)}",
                f"extend {SLABLEAK}",
                f"extend {SLABRECORD}",
                f"slabrecord {request}",
            ],
            args=lab.options_for(dump.kernel, version),
            env={"PYEXTEND_DEBUG": "1"},
        )
        if not out.exists():
            raise lab.CrashFailed(f"crash {version} wrote no notes; it said:\n{said[-3000:]}")
        text = out.read_text()
        for file in (dump.vmcore, dump.vmlinux):
            # Where they lie on this machine is no part of a recording.
            for place in (file, file.resolve()):
                text = text.replace(str(place), file.name)
        notes: Notes = json.loads(text)
    return notes


def assemble(
    kernel: str, scenario: str, version: str, truth: Dict[str, Any], notes: Notes
) -> Recording:
    """The recording of what was noted. Raises NotReplayed where a recording has no form for it."""
    image = _image(notes)
    caches = _caches(notes["list"])
    known = [address for address, _ in caches]
    known += [int(address, 16) for _, _, address in for_each_cache(truth)]
    _blank_other_pages(image, known)
    release = re.search(r"Linux version (\S+)", notes["log"])
    return Recording(
        kernel=release.group(1) if release else kernel,
        note=f"The lab's {kernel} {scenario}, by python -m tests.record with crash {version};"
        " struct pages of no slab are blank, and there is no memory but what the commands read.",
        image=image,
        caches=caches,
        truth=_smaller(truth),
        values={
            name: notes["variables"][name]
            for name in ("nr_cpu_ids", "nr_node_ids")
            if notes["variables"][name] is not None
        },
        outputs=notes["outputs"],
    )


def _image(notes: Notes) -> Image:
    byteorder: ByteOrder = notes["byteorder"]
    image = Image(notes["word"], byteorder, notes["page_size"])
    for address, data in notes["memory"]:
        image.map(address, b64decode(data))
    in_vain = {f"struct {name}" for name, struct in notes["structs"].items() if struct is None}
    for name, struct in notes["structs"].items():
        if struct is None:
            continue
        members = {member: (place[0], place[1]) for member, place in struct["members"].items()}
        image.structs[name] = (struct["size"], members)
    image.page_offset = notes["page_offset"]
    image.percpu_offsets = notes["variables"]["__per_cpu_offset"]
    image.log = _shortened(notes["log"])
    image.symbol_names = {a: n and (n[0], n[1]) for a, n in notes["names"] if n != [None, None]}
    image.symbol_names.update({a: None for a, n in notes["names"] if n == [None, None]})
    for function, arguments, answer in notes["answers"]:
        if function == "exec_crash_command" and isinstance(answer, str):
            if arguments[0] == "log":
                continue  # kept as the image's, and shorter
            image.commands[arguments[0]] = answer
        elif function == "sym2addr" and answer:
            image.symbols[arguments[0]] = answer
        elif function == "sym2addr":
            in_vain.add(f"symbol {arguments[0]}")
        elif function == "enumerator_value" and answer is not None:
            image.enums[arguments[0]] = answer
        elif function == "enumerator_value":
            in_vain.add(f"enumerator {arguments[0]}")
    image.asked_in_vain = frozenset(in_vain)
    _place_pages(image, notes)
    return image


def _place_pages(image: Image, notes: Notes) -> None:
    """vmemmap and the present ranges, from crash's phys_to_page."""
    end: int = notes["variables"]["max_pfn"]
    pages: List[Tuple[int, int]] = []
    for function, arguments, answer in notes["answers"]:
        if function == "phys_to_page":
            pages.append((arguments[0] // image.page_size, answer or 0))
    pages.sort()
    starts = {page - pfn * image.sizeof("page") for pfn, page in pages if page}
    if len(starts) != 1:
        raise NotReplayed("page structures that are in pieces")
    image.vmemmap = starts.pop()
    image.present = list(_ranges(pages, end))


def _ranges(pages: List[Tuple[int, int]], end: int) -> Iterator[Tuple[int, int]]:
    """[first, end) page frames with page structures, as far as was asked.

    pages: (page frame, its structure or 0), ascending.
    """
    first = 0 if pages[0][1] else None
    for pfn, page in pages:
        if page and first is None:
            first = pfn
        elif not page and first is not None:
            yield first, pfn
            first = None
    if first is not None:
        yield first, end


def _caches(listed: str) -> List[Tuple[int, str]]:
    """(address, name) from crash's own `list`: the commands under test have no part in it."""
    found = re.findall(r'(?m)^([0-9a-f]+)\n +name = 0x[0-9a-f]+ (?:<.*> )?"(.*)",?$', listed)
    return [(int(address, 16), name) for address, name in found]


def _blank_other_pages(image: Image, caches: List[int]) -> None:
    """Zeroes the page structures that neither name a cache nor are tails behind one that does.

    Judged by these alone, so that a slab which the commands fail to recognise stays.
    """
    size, word = image.sizeof("page"), image.word
    owners = set(caches)
    link, _ = (
        image.member("page", "compound_info") or image.member("page", "compound_head") or (0, 0)
    )
    first, end = image.vmemmap, image.vmemmap + image.max_pfn * size
    for address, data in list(image.extents()):
        if not first <= address < end:
            continue
        kept = False
        for at in range((first - address) % size, len(data) - size + 1, size):
            words = [
                int.from_bytes(data[i : i + word], image.byteorder)
                for i in range(at, at + size, word)
            ]
            # The lowest bit marks a tail, whether its head's address is above it or a mask.
            kept = not owners.isdisjoint(words) or (kept and words[link // word] & 1 == 1)
            if not kept:
                image.write(address + at, bytes(size))


def _shortened(log: str) -> str:
    """The log from the module's first line on: what is said at boot is of no use here."""
    lines = log.splitlines(keepends=True)
    first = next((n for n, line in enumerate(lines) if "slabtest" in line), 0)
    return "".join(lines[first:])


def _smaller(truth: Dict[str, Any]) -> Dict[str, Any]:
    """The truth without the contents of objects: their crc32 says as much."""
    text = json.dumps(truth)
    smaller: Dict[str, Any] = json.loads(text)
    for roles in smaller["objects"].values():
        for states in roles.values():
            for rows in states.values():
                for row in rows:
                    row.pop("hex", None)
    return smaller


def check(recording: Recording, notes: Notes) -> None:
    """Asks the recording all that crash was asked. Raises NotReplayed."""
    fake = FakeCrash(recording.image)
    for function, arguments, answer in notes["answers"]:
        if arguments in (["log"], ["mod"]):
            continue  # the boot's part is left out; crash's table of modules isn't kept
        try:
            given = getattr(fake, function)(*arguments)
        except CrashError as error:
            given = {"error": str(error)}
        if (list(given) if isinstance(given, tuple) else given) != answer:
            raise NotReplayed(f"{function}{tuple(arguments)}: {given!r}, in crash {answer!r}")
    for line, text in recording.outputs.items():
        printed = run_line(fake, line)
        if printed != text:
            differs = unified_diff(text.splitlines(), printed.splitlines(), "crash", "replay")
            raise NotReplayed("\n".join([f"{line}:", *differs]))
