# SPDX-License-Identifier: GPL-3.0-or-later
"""slablost -o: a page of what is lost, well formed, and no word of what is held."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.asked import of_type, records, text
from tests.unit.test_html import Parsed
from tests.unit.test_pageuse import Pages


def whole(pages: Pages) -> None:
    """Nothing is missing from the dump: what a heap has no memory for is free."""
    image = pages.image
    image.commands.setdefault("help -r", "CPU 0:\n  RIP: 0000000000000000  RAX: 0000000000000000\n")
    for first, end in image.present:
        for frame in range(first, end):
            address = image.page_offset + frame * image.page_size
            if not image.is_mapped(address, 1):
                page = image.virt_to_page(address)
                for name, value in (("_refcount", 0), ("_mapcount", -129 & 0xFFFFFFFF)):
                    offset, size = image.structs["page"][1][name]
                    image.put(page + offset, size, value)


def test_the_page_has_the_lost_objects_and_no_others(tmp_path: Path) -> None:
    pages = Pages()
    slab, image = pages.zeroed({1, 2, 3}), pages.image
    pages.set(0, _refcount=1)
    image.pointer(pages.start + 0x10, slab.object(1))
    image.pointer(slab.object(2), slab.object(3))
    whole(pages)
    file = tmp_path / "lost.html"
    said = text(pages.heap, "slablost", "-o", str(file), "slab_test")
    page = Parsed(file.read_text(encoding="utf-8"))
    shown = {value for name, value in page.attributes if name == "id"}
    assert shown == {f"o{slab.object(index):x}" for index in (2, 3)}
    assert f"#o{slab.object(3):x}" in {value for _, value in page.attributes}
    assert said.splitlines()[-1] == f"written: {file}"
    assert said.splitlines()[-2] in page.text
    assert "1 of them are lost with others" in page.text


def test_a_lost_object_at_the_start_of_the_next_slab_is_that_ones_cache_s() -> None:
    """With red zones the objects begin behind the slab: their last one ends with the slab."""
    pages = Pages()
    heap, image = pages.heap, pages.heap.image
    tight, plain = heap.cache("tight", 104, red_zone=True), heap.cache("plain", 64)
    assert tight.red_left
    assert tight.objects * tight.size == image.page_size
    pairs = [(heap.slab(tight, {0}), heap.slab(plain, {0})) for _ in range(4)]
    firsts = {slab.object(0) for pair in pairs for slab in pair}
    for address in firsts:
        image.write(address, bytes(64))
    assert {one.va + image.page_size for one, _ in pairs} & {other.va for _, other in pairs}
    whole(pages)
    rows = records(heap, "slablost", "tight", "plain")
    told = {row["name"]: row["definitely"] for row in of_type(rows, "lost")}
    assert told == {
        name: sorted(f"{pair[number].object(0):016x}" for pair in pairs)
        for number, name in enumerate(("tight", "plain"))
    }


@pytest.mark.parametrize("command", ["slablost", "slabwhy"])
def test_a_file_that_cannot_be_written_is_said_before_the_search(
    command: str, tmp_path: Path
) -> None:
    pages = Pages()
    pages.heap.slab(pages.heap.cache("slab_test", 64), {1})
    whole(pages)
    said = text(pages.heap, command, "-o", str(tmp_path), "slab_test")
    assert said.startswith(f"{command}: {tmp_path}: Is a directory\nUsage:\n")
    assert "object" not in said


def test_what_is_in_the_file_stays_until_the_page_is_there(tmp_path: Path) -> None:
    pages = Pages()
    pages.heap.slab(pages.heap.cache("slab_test", 64), {1})
    whole(pages)
    file = tmp_path / "lost.html"
    text(pages.heap, "slablost", "-o", str(file), "nosuch")
    assert not file.exists(), "nothing was found to write"
    file.write_text("yesterday's")
    text(pages.heap, "slablost", "-o", str(file), "nosuch")
    assert file.read_text() == "yesterday's"


def test_addresses_and_records_are_not_asked_for_together() -> None:
    said = text(Pages().heap, "slablost", "-q", "-j")
    assert said.startswith("slablost: only one of -q and -j\nUsage:\n")
