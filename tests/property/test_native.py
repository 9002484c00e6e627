# SPDX-License-Identifier: GPL-3.0-or-later
"""The loops in C and the shortcuts in Python give what the plain way gives, in any heap."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import Iterator, List, Optional, Sequence, Tuple
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from crash_ext.kernel.search import Hit, Summary, Targets, find_pointers
from crash_ext.reader import Native
from crash_ext.report.addresses import AddressLines
from crash_ext.report.contents import Records, Whole
from crash_ext.report.hexdump import RdForm
from crash_ext.slub.freelist import KEY_FORMS, Coding, Geometry, follow, links
from crash_ext.slub.quick import usual_states
from mocks.damage import Plan
from mocks.heap import Heap
from mocks.image import Hole
from mocks.strategies import damages, heaps
from tests.native import native_module
from tests.unit.asked import target, text

BASE = 0xFFFF_8880_0123_0000


def _no_texts(self: Records, slabs: Sequence[Whole], shift: int) -> List[Optional[str]]:
    return [None] * len(slabs)


@contextmanager
def _as(native: Optional[Native], shortcuts: bool) -> Iterator[None]:
    """The commands with this help, and with or without quick.py."""
    with ExitStack() as stack:
        patch = mock.patch
        stack.enter_context(patch("crash_ext.host.target.native_loops", return_value=native))
        if not shortcuts:
            stack.enter_context(patch("crash_ext.slub.objects.usual_states", return_value=None))
            stack.enter_context(patch("crash_ext.view.text.Records.texts", _no_texts))
        yield


@given(heaps(), st.lists(damages(), max_size=3), st.sampled_from([1, 1 << 23]))
def test_the_commands_say_the_same_with_and_without_help(
    heap: Heap, plans: List[Plan], large: int
) -> None:
    for plan in plans:
        # What another damage has made unreadable can't be overwritten.
        with suppress(Hole):
            plan.apply(heap)
    names = [f"{cache.address:x}" for cache in heap.caches]
    lines = [("slabobjs", "-q", *names), ("slabobjs", *names), ("slabdup", "-a")]
    lines.append(("slabobjs", "-l", "2", "-n", "0", "-b", "21", *names))
    lines += [("slabobjs", "-g", *names), ("slabobjs", "-g", "-b", "13", *names), ("slablost",)]
    said = []
    with mock.patch("crash_ext.view.slabs._LARGE", large):
        for native, shortcuts in ((None, False), (None, True), (native_module(), True)):
            with _as(native, shortcuts):
                said.append([text(heap, *line) for line in lines])
    assert said[0] == said[1]
    assert said[0] == said[2]


@given(heaps(), st.randoms(use_true_random=False))
def test_the_search_finds_the_same_with_and_without_help(heap: Heap, rng: object) -> None:
    objects = [
        (slab.object(index), cache.object_size)
        for cache in heap.caches
        for slab in cache.slabs
        for index in slab.allocated
    ]
    found: List[List[Hit]] = []
    for native in (None, native_module()):
        with _as(native, True):
            found.append(list(find_pointers(target(heap), Targets(objects), Summary())))
    assert found[0] == found[1]


@st.composite
def _freelists(draw: st.DrawFn) -> Tuple[Geometry, Coding, bytes, int, int]:
    """A slab's shape, its memory, the list's head and how long it should be; often damaged."""
    size = 8 * draw(st.integers(2, 12))
    link = draw(st.integers(0, size - 8))
    objects = draw(st.integers(1, 4096 // size))
    where = Geometry(BASE, size, objects, 0, link)
    coding = Coding(
        draw(st.sampled_from([None, *KEY_FORMS])), draw(st.integers(0, 2**64 - 1)), 8, "little"
    )
    memory = bytearray(draw(st.binary(min_size=64, max_size=64)) * 64)
    order = draw(st.permutations(range(objects)))[: draw(st.integers(0, objects))]
    addresses = [BASE + index * size for index in order] + [0]
    if len(order) > 1 and draw(st.booleans()):
        wrong = [0, addresses[0], BASE + 4096, BASE - size, BASE + 1, 1]
        addresses[draw(st.integers(0, len(order)))] = draw(st.sampled_from(wrong))
    for index, following in zip(order, addresses[1:]):
        at = index * size + link
        none = Coding(coding.form, coding.random, 8, "little")
        zeroes = bytes(size * objects)
        key = links(zeroes, where, none)(index)
        memory[at : at + 8] = (following ^ key).to_bytes(8, "little")
    expected = max(0, len(order) + draw(st.sampled_from([0, 0, 0, 1, -1])))
    return where, coding, bytes(memory[: objects * size]), addresses[0], expected


@given(_freelists())
def test_a_shortcut_tells_what_the_kernels_own_check_tells(
    case: Tuple[Geometry, Coding, bytes, int, int],
) -> None:
    where, coding, memory, head, expected = case
    chain, problem = follow(where, head, links(memory, where, coding))
    whole = problem is None and len(chain) == expected
    right = bytes(index not in set(chain) for index in range(where.objects)) if whole else None
    at_zero = where._replace(first=0)
    for native in (None, native_module()):
        states = usual_states(at_zero, coding, native)
        if states is None:
            assert where.link % 8
            assert native is None
            continue
        told = states(memory, BASE, head, expected)
        # The one in Python leaves short lists to others.
        assert told == right or (native is None and told is None and expected < 16)


_SHAPES = st.tuples(st.integers(1, 200), st.integers(0, 40))


@given(st.integers(0, 2**64 - 2**20), st.integers(1, 9000), st.lists(st.booleans(), min_size=1))
def test_addresses_are_the_same_however_they_are_written(
    first: int, size: int, flags: List[bool]
) -> None:
    chosen = bytes(flags)
    plain = "".join(f"{first + i * size:016x}\n" for i, flag in enumerate(flags) if flag)
    assert AddressLines(size, 16).text([first], [chosen]) == plain
    assert native_module().lines(size, [first], [chosen]) == plain


@given(
    st.sampled_from([BASE, BASE + 0xFF0, 0xFFFF, 0, 2**32 - 2**13, 0x8000_0000]),
    _SHAPES,
    st.lists(st.booleans(), min_size=1, max_size=40),
    st.sampled_from([(8, "little"), (8, "big"), (4, "little"), (4, "big")]),
    st.integers(0, 64),
    st.binary(min_size=1, max_size=200),
)
def test_contents_are_the_same_however_they_are_written(
    first: int,
    shape: Tuple[int, int],
    flags: List[bool],
    machine: Tuple[int, str],
    shift: int,
    noise: bytes,
) -> None:
    (length, more), (word, order) = shape, machine
    if word == 4:
        first &= 2**31 - 1
    size = length + more
    memory = (noise * (40 * 240 + 64))[: shift + size * len(flags)]
    chosen = bytes(flags)
    form = RdForm(length, word, "little" if order == "little" else "big")
    plain = ""
    for index in range(len(flags)):
        at, address = shift + index * size, first + index * size
        if flags[index]:
            plain += f"  [{address:0{2 * word}x}]\n{form.text(address, memory[at : at + length])}\n"
    for native in (None, native_module().contents):
        records = Records(length, size, word, "little" if order == "little" else "big", native)
        slab = Whole(memory, first, chosen)
        # Another's addresses have other digits above; one of another shape may be left out.
        other = Whole(memory, first ^ 1 << (40 if word == 8 else 24), chosen[: len(chosen) // 2])
        told, again, _ = records.texts([slab, slab, other], shift)
        assert told == again
        assert told == plain or (native is None and told is None)
