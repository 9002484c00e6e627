# SPDX-License-Identifier: GPL-3.0-or-later
"""-w FILTER: what may be typed, which objects fit, and of which that can't be known."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Literal, Set, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crash_ext.command import session_of
from crash_ext.contents.filters import (
    NO_OWNER,
    NOTHING,
    Facts,
    FilterError,
    forms_of,
    parse,
)
from crash_ext.leak.duplicates import all_caches
from crash_ext.places.places import Places
from crash_ext.slub.model import ONLY_ALLOCATED
from crash_ext.slub.objects import for_each_decoded_slab
from crash_ext.slub.slabmemory import SlabBytes
from crash_ext.why.chosen import Asked, Chosen, doubts
from mocks.crash_module import FakeCrash
from tests.golden import printed
from tests.golden.scenes import SCENES, asked, owned
from tests.replay import addresses, recorded, run_line

WRONG = {
    "": "not a condition",
    "func": "func: not a condition",
    "func=": "func=: not a condition",
    "=3": "=3: not a condition",
    "pid=1,": "not a condition",
    "pid=1,,cpu=0": "not a condition",
    "pid=x": "pid=x: not a decimal number: x",
    "pid=-1": "pid=-1: not a decimal number: -1",
    "cpu=0x1": "cpu=0x1: not a decimal number: 0x1",
    "pid=\N{SUPERSCRIPT TWO}": "not a decimal number",
    "older=5": "older=5: not a time: write 10s, 5m, 2h or 3d",
    "newer=1.5h": "newer=1.5h: not a time",
    "age=3d": "age=3d: no condition age (func older newer cpu pid node OFFSET)",
    "+0x10:3=1": "+0x10:3=1: a value has 1, 2, 4 or 8 bytes",
    "+0x10:1=256": "+0x10:1=256: 256 is more than 1 bytes hold",
    "+0x10=ffff896102a492a0": "not a number: ffff896102a492a0: write 0x10 or 16",
    "+0x10=1234567812345678": "not a number: 1234567812345678",
    "+010=1": "+010=1: not a number: 010: write 0x10 or 16",
    "+10h=1": "not a number: 10h",
    "0x=1": "not a number: 0x",
    "0x10=-1": "not a number: -1",
    "0x10:=1": "not a number: ",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_condition_is_named(text: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text, 8)
    assert WRONG[text] in str(caught.value)


def test_a_value_of_a_32_bit_kernel_has_its_words_size() -> None:
    assert parse("0x10=0xffffffff", 4).conditions[0].width == 4
    with pytest.raises(FilterError, match="more than 4 bytes hold"):
        parse("0x10=0x100000000", 4)


values = st.sampled_from([1, 2, 4, 8]).flatmap(
    lambda width: st.tuples(st.just(width), st.integers(0, (1 << 8 * width) - 1))
)


@given(
    st.integers(0, 5000),
    values,
    st.sampled_from(["{:#x}", "+{:#x}", "{}", "+{}"]),
    st.sampled_from(["little", "big"]),
    st.binary(max_size=40),
)
def test_a_value_fits_where_its_bytes_stand_and_nowhere_else(
    offset: int,
    value: Tuple[int, int],
    form: str,
    byteorder: Literal["little", "big"],
    behind: bytes,
) -> None:
    width, number = value
    what = parse(f"{form.format(offset)}:{width}={number:#x}", 8)
    data = bytes(offset) + number.to_bytes(width, byteorder) + behind
    assert what.judge(NOTHING._replace(data=data), byteorder) is True
    other = bytes(offset) + (number ^ 1).to_bytes(width, byteorder) + behind
    assert what.judge(NOTHING._replace(data=other), byteorder) is False
    short = NOTHING._replace(data=data[: offset + width - 1])
    assert what.judge(short, byteorder) == f"the object ends before {offset + width:+#x}"
    assert what.judge(NOTHING, byteorder) == "contents can't be read"


@given(st.text(max_size=30))
def test_whatever_is_typed_is_a_filter_or_an_error(text: str) -> None:
    try:
        found = parse(text, 8)
    except FilterError:
        return
    assert len(found.conditions) == text.count(",") + 1


@given(st.integers(0, 400), st.sampled_from("smhd"), st.floats(0, 4e7))
def test_an_object_is_either_older_or_newer(number: int, unit: str, seconds: float) -> None:
    facts = NOTHING._replace(noted=True, seconds=seconds)
    verdicts = {
        parse(f"{which}={number}{unit}", 8).judge(facts, "little") for which in ("older", "newer")
    }
    assert verdicts == {True, False}


OBJECT = Facts(
    noted=True,
    functions=forms_of("conn_open.isra.0+0x15 [conn]"),
    unnamed=False,
    seconds=90.0,
    cpu=1,
    pid=80,
    node=0,
    data=b"\1\2\3\4\5\6\7\x08",
)


@pytest.mark.parametrize(
    "text",
    [
        "func=conn_open",
        "func=conn_open.isra.0",
        "func=conn_*",
        "func=conn_open+0x15",
        "func=conn_open+0x15/0x40",
        "func=conn_open [conn]",
        "func=conn_open+0x15 [conn]",
        "older=90s",
        "older=1m",
        "newer=2m",
        "pid=80,cpu=1,node=0",
        "0:2=0x201,+2:1=3,0x0=0x0807060504030201",
    ],
)
def test_an_object_fits_what_is_known_of_it(text: str) -> None:
    assert parse(text, 8).judge(OBJECT, "little") is True


@pytest.mark.parametrize(
    "text",
    [
        "func=conn",
        "func=conn_open+0x16",
        "func=conn_open [other]",
        "older=91s",
        "newer=90s",
        "pid=8",
        "cpu=0",
        "node=1",
        "pid=80,cpu=0",
        "0:2=0x102",
    ],
)
def test_an_object_does_not_fit_what_it_is_not(text: str) -> None:
    assert parse(text, 8).judge(OBJECT, "little") is False


@pytest.mark.parametrize(
    ("text", "facts", "why"),
    [
        ("func=conn_close", OBJECT._replace(unnamed=True), "a function of the stack has no name"),
        ("older=1s", OBJECT._replace(seconds=None), "age not known"),
        ("cpu=1", OBJECT._replace(cpu=None), "CPU not noted"),
        ("node=1", OBJECT._replace(node=None), "node not known"),
        ("pid=0", NOTHING, NO_OWNER),
        ("node=0,pid=80", NOTHING._replace(node=0), NO_OWNER),
    ],
)
def test_what_is_not_known_of_an_object_is_no_answer(text: str, facts: Facts, why: str) -> None:
    assert parse(text, 8).judge(facts, "little") == why


def test_an_object_that_fails_one_condition_fails_whatever_else_is_not_known() -> None:
    assert parse("pid=80,node=1", 8).judge(NOTHING._replace(node=0), "little") is False


# --- slabobjs ---


def _left(fake: FakeCrash) -> Tuple[str, List[int]]:
    """The address of the scene's leftover cache, and of its leaked objects."""
    (cache,) = [
        row
        for row in map(json.loads, run_line(fake, "slabdup -j").splitlines())
        if row["type"] == "cache" and row["state"] == "leftover"
    ]
    address: str = cache["address"]
    return address, addresses(fake, address)


@pytest.mark.parametrize("form", ["-q", "-j -b 0", "-b 0", "-e", "-r -b 0"])
def test_every_form_shows_the_same_objects(form: str) -> None:
    fake = asked()
    cache, (_, second, _) = _left(fake)
    text = run_line(fake, f"slabobjs {form} -w +0x18=3 {cache}")
    shown = {one for one in _left(fake)[1] if f"{one:016x}" in _objects(text)}
    assert shown == {second}


def _objects(text: str) -> str:
    """The part of an output that names objects: without the pointers that contents hold."""
    rows = text.splitlines()
    return "\n".join(
        row.split('"data"')[0] for row in rows if row.startswith("  [") or '"object"' in row
    ) or "\n".join(row for row in rows if len(row) == 16)


def test_a_limit_counts_what_fits_and_leaves_out_nothing_else() -> None:
    fake = asked()
    cache, leaked = _left(fake)
    assert len(leaked) == 3
    text = run_line(fake, f"slabobjs -b 0 -l 1 -w +0x8=0,node=0 {cache}")
    assert "1 object left out (-l)" in text
    assert "2 of 3 objects fit +0x8=0,node=0" in text


def _reads_of_slabs(fake: FakeCrash, line: str) -> List[Tuple[int, int]]:
    """(address, size) of what `slabobjs LINE CACHE` reads of the leftover's slabs."""
    cache, leaked = _left(fake)
    pages = {address & ~0xFFF for address in leaked}
    reads: List[Tuple[int, int]] = []

    def note(address: int, size: int) -> None:
        if address & ~0xFFF in pages:
            reads.append((address, size))

    fake.on_read = note
    text = run_line(fake, f"slabobjs {line} {cache}")
    fake.on_read = None
    assert f"{leaked[0]:x}" in text
    return reads


@pytest.mark.parametrize("form", ["", "-j", "-f", "-e", "-g", "-l 2"])
def test_what_is_judged_by_its_contents_and_then_shown_is_read_once(form: str) -> None:
    plain, filtered = (FakeCrash(recorded("lab-6.1-leak").image) for _ in range(2))
    reads = _reads_of_slabs(filtered, f"{form} -w +0x0:4=0x4a41434b")
    assert reads == _reads_of_slabs(plain, form)
    assert reads


def test_an_object_asked_for_by_its_address_has_to_fit_too() -> None:
    fake = asked()
    _, (first, second, _) = _left(fake)
    assert addresses(fake, "-w", "+0x18=3", f"{second:x}") == [second]
    assert addresses(fake, "-w", "+0x18=3", f"{first:x}") == []
    assert "0 of 1 object fit" in run_line(fake, f"slabobjs -g -w +0x18=3 {first:x}")


def test_a_large_cache_is_looked_at_to_the_end() -> None:
    """No -l stops the search for what fits, and no counter stands for it."""
    fake = asked()
    cache, _ = _left(fake)
    whole = run_line(fake, f"slabobjs -b 0 -l 1 -w node=0 {cache}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crash_ext.view.slabs._LARGE", 0)
        assert run_line(fake, f"slabobjs -b 0 -l 1 -w node=0 {cache}") == whole
    assert "3 of 3 objects fit" in whole


def test_q_says_of_how_many_it_could_not_know() -> None:
    fake = owned()
    cache, leaked = _left(fake)
    text = run_line(fake, f"slabobjs -q -w cpu=0 {cache}")
    *rows, error = text.splitlines()
    assert [int(row, 16) for row in rows] == leaked[:3]
    assert error.startswith("slabobjs: ")
    assert error.endswith("owner not known for 1 object: left out (-w)")


def test_contents_that_are_not_in_the_dump_fit_nothing() -> None:
    fake = asked()
    cache, leaked = _left(fake)
    chosen = parse("+0x18=3", 8)
    session = session_of(fake, fake.image.byteorder)
    (known,) = [one for one in all_caches(session, []) if f"{one.address:016x}" == cache]
    (slab,) = for_each_decoded_slab(session, known, [])
    fake.image.unmap(leaked[1], 64)
    data = SlabBytes(session.reader, known.size)
    found = Chosen(Asked(Places(session, lambda: [known]), chosen), known, data)
    slab = slab.without_memory()
    fits = found.among(slab, slab.states.translate(ONLY_ALLOCATED))
    assert (fits.count(1), found.fit, found.of) == (0, 0, 3)
    assert next(doubts([found])).startswith("contents can't be read for ")

    # What was read one by one is not read again to be shown, and the hole not asked for twice.
    before = fake.reads
    assert data.whole(slab, 3) is None
    shown = [data.of(slab, address, 64, None) for address in (leaked[0], leaked[2])]
    assert fake.reads == before
    assert shown == [fake.image.read(address, 64) for address in (leaked[0], leaked[2])]


@pytest.mark.parametrize("order", [("-w", "-t"), ("-t", "-w")])
def test_what_has_a_blank_is_typed_in_single_quotes(order: Tuple[str, str]) -> None:
    """crash splits at blanks there, and leaves the quotes."""
    values = {"-w": "'func=conn_open [conn],node=0'", "-t": "'struct conn'"}
    typed = " ".join(f"{option} {values[option]}" for option in order)
    text = run_line(asked(), f"slabobjs {typed} slab_test")
    assert "0 of 10 objects fit func=conn_open [conn],node=0" in text
    (begin, *_) = _records(asked(), f"slabobjs -j {typed} slab_test")
    assert begin["filter"] == "func=conn_open [conn],node=0"


def test_a_node_that_is_not_there_is_an_error() -> None:
    assert "-w: no node 9: the nodes are 0 to" in run_line(asked(), "slabobjs -w node=9 slab_test")


# --- slablost ---


@pytest.mark.parametrize("scene", ["lost-with-others", "perhaps-held", "asked", "in-use", "owned"])
def test_of_lost_objects_those_that_fit_and_those_that_do_not_are_all(scene: str) -> None:
    """By each object's own address in it, or by its state: two filters that exclude each other."""
    fake = SCENES[scene]()

    def lost(*filters: str) -> Set[Tuple[str, str]]:
        options = " ".join(f"-w {each}" for each in filters)
        rows = map(json.loads, run_line(fake, f"slablost -j {options}").splitlines())
        return {
            (how, address)
            for row in rows
            if row["type"] == "lost"
            for how in ("definitely", "indirectly", "possibly")
            for address in row[how]
        }

    every = lost()
    states = [lost(f"+0x18={state}") for state in range(4)]
    assert len(every) == sum(map(len, states)) > 0
    assert set().union(*states) == every
    assert lost("node=0") == every
    assert lost("node=1") == set()


def test_slablost_counts_the_possibly_lost_too() -> None:
    fake = SCENES["perhaps-held"]()
    text = run_line(fake, "slablost -w +0x8=1")
    assert "none of 31 allocated objects is lost and fits -w" in text
    assert text.splitlines()[-1] == "-w: 0 of 4 objects lost or possibly lost fit +0x8=1"


# --- slabwhy ---


def test_slabwhy_says_of_a_cache_where_nothing_fits_that_nothing_does() -> None:
    text = run_line(asked(), "slabwhy -F -w +0x18=9")
    assert "Only the objects that fit +0x18=9 were examined: 0 of 3 objects." in text
    assert "None fits, so there is none to explain." in text
    assert text.splitlines()[-1] == "-w: 0 of 3 allocated objects fit +0x18=9"


def test_slabwhy_counts_all_objects_of_a_cache_in_use_and_explains_those_that_fit() -> None:
    """The serial of the leaked objects is 106 to 109; 100 to 105 have users."""
    fake = SCENES["in-use"]()
    (name,) = {row["address"] for row in _records(fake, "slabdup -j") if row.get("refcount") == 1}
    every = _findings(fake, f"slabwhy -j {name}")
    assert len(every) == 4
    some = _findings(fake, f"slabwhy -j -w 0=109 {name}")
    assert len(some) == 1
    assert some < every
    assert not _findings(fake, f"slabwhy -j -w 0=100 {name}")
    text = run_line(fake, f"slabwhy -w 0=100 {name}").replace("\n ", "")
    assert "nothing in use leads to 4 of them" in text


def test_slabwhy_counts_what_a_log_lists_of_a_merged_cache_whatever_fits() -> None:
    fake = SCENES["merged"]()
    (name,) = {row["address"] for row in _records(fake, "slabdup -j") if row.get("refcount") == 1}
    rows = _records(fake, f"slabwhy -j -w 0=109 {name}")
    (text,) = [row["text"] for row in rows if row["type"] == "conclusion"]
    assert "10 objects of then are still there" in text
    assert text.startswith("Only the objects that fit 0=109 were examined: 1 of 10 objects.")


def test_the_page_says_what_was_chosen() -> None:
    text = printed("asked", "slabwhy -o page.html -w +0x18=1")
    assert text.count("Only the objects that fit +0x18=1 were examined: 1 of 3 objects.") == 2
    assert "slabwhy -o page.html -w +0x18=1" in text


def _records(fake: FakeCrash, line: str) -> List[Dict[str, Any]]:
    return [json.loads(text) for text in run_line(fake, line).splitlines()]


def _findings(fake: FakeCrash, line: str) -> Set[str]:
    rows = _records(fake, line)
    return {one for row in rows if row["type"] == "finding" for one in row["objects"]}
