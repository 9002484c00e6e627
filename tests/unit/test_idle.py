# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lost object's own timers and work items say of what became of them."""

from __future__ import annotations

from typing import Dict, List

import pytest

from crash_ext.contents.callbacks import DELAYED_WORK, HRTIMER, TIMER, WORK
from crash_ext.contents.idle import DELETED, NEVER, OVER, Idle, IdleFinder
from crash_ext.leak.duplicates import all_caches
from crash_ext.places.places import Places
from crash_ext.why.case import Subject
from mocks.structs import parse
from tests.unit.asked import session
from tests.unit.test_callbacks import AT, EXPIRE, FLUSH, Scene
from tests.unit.test_rules import case, only, subject

NOW = 1000000
SHIFT, BITS = 5, 31
NO_POOL = (1 << BITS) - 1 << SHIFT


class Asked(Scene):
    """The same object; jiffies are NOW."""

    def __init__(self) -> None:
        super().__init__()
        self.poison = self.pages.heap.layout.place.poison[1]
        self.image.symbols.setdefault("jiffies", self.pages.start + 0xA00)
        self.image.pointer(self.image.symbols["jiffies"], NOW)
        self.image.enums.update({"WORK_OFFQ_POOL_SHIFT": SHIFT, "WORK_OFFQ_POOL_BITS": BITS})

    def found(self) -> List[Idle]:
        kernel = session(self.pages.heap)
        places = Places(kernel, lambda: all_caches(kernel, []))
        finder = IdleFinder(places, self.callbacks())
        return finder.of(self.object, self.image.read(self.object, 128))

    def work(self, says: int) -> None:
        entry = self.object + AT + 8
        self.put(AT, says, entry, entry, self.code + FLUSH)


@pytest.mark.parametrize(("due", "state"), [(NOW - 5, OVER), (NOW + 5, DELETED)])
def test_a_timer_that_was_armed_and_is_not_in_a_wheel(due: int, state: str) -> None:
    scene = Asked()
    scene.put(AT, scene.poison, 0, due, scene.code + EXPIRE)
    (found,) = scene.found()
    assert (found.kind, found.offset, found.state) == (TIMER, AT, state)
    assert found.function == "conn_expire [bar]"


def test_what_has_no_time_or_no_function_is_no_such_timer() -> None:
    scene = Asked()
    scene.put(AT, 0, 0, NOW + (1 << 32), scene.code + EXPIRE)
    assert scene.found() == []
    scene.put(AT, scene.poison, 0, NOW, scene.code + EXPIRE + 4)
    assert scene.found() == []
    scene.put(AT, scene.outside, scene.poison, NOW, scene.code + EXPIRE)
    assert scene.found() == []
    # A deleted hlist_node before NULL, a number and a function.
    scene.put(AT, scene.poison, 0, NOW + (1 << 32), scene.code + EXPIRE)
    assert scene.found() == []


@pytest.mark.parametrize("due", [0, NOW + 5])
@pytest.mark.parametrize(("flags", "new"), [(1, True), (0x200003, True), (1 << 22, False)])
def test_a_timer_that_was_only_set_up_has_no_slot_of_a_wheel(
    due: int, flags: int, new: bool
) -> None:
    scene = Asked()
    scene.image.structs["timer_list"] = parse("entry:2p expires:p function:p flags:4", 8)
    scene.put(AT, 0, 0, due, scene.code + EXPIRE, flags)
    told = [(each.kind, each.state, each.sure) for each in scene.found()]
    assert told == ([(TIMER, NEVER, False)] if new else [])


@pytest.mark.parametrize(
    ("node", "clock", "soft", "states"),
    [("own", True, 7, [OVER]), ("own", True, 0, [NEVER]), ("own", False, 7, []), ("", True, 7, [])],
)
def test_an_hrtimer_that_is_in_no_queue_and_has_a_cpu_s_clock(
    node: str, clock: bool, soft: int, states: List[str]
) -> None:
    scene = Asked()
    scene.image.structs["hrtimer"] = parse("node:4p _softexpires:p function:p base:p state:1", 8)
    own = scene.object + AT if node else scene.outside
    base = scene.percpu("hrtimer_bases", 64)
    scene.land.chunk()
    base = base if clock else scene.outside
    scene.put(AT, own, 0, 0, 9, soft, scene.code + EXPIRE, base, 0)
    found = [each for each in scene.found() if each.kind == HRTIMER]
    assert [each.state for each in found] == states


def test_a_timer_that_was_never_armed_is_told() -> None:
    made = subject(1)
    made.idle = [Idle(TIMER, AT, AT, "conn_expire [bar]", NEVER, sure=False)]
    text = only(case(made, twins=0)).sentence
    assert text.endswith(
        f" If +{AT:#x} is a timer, of conn_expire [bar], it was set up and never armed."
    )
    made.idle = [Idle(HRTIMER, AT, AT, "conn_expire [bar]", NEVER)]
    found = only(case(made, twins=0))
    told = f" Its hrtimer at +{AT:#x}, conn_expire [bar], was set up and never armed."
    assert found.sentence.endswith(told)
    assert found.evidence[-1].text.endswith(", not pending, as one that was never armed")


@pytest.mark.parametrize(("says", "state"), [(3 << SHIFT, OVER), (NO_POOL, NEVER)])
def test_a_work_item_has_the_pool_that_called_it(says: int, state: str) -> None:
    scene = Asked()
    scene.work(says)
    (found,) = scene.found()
    assert (found.kind, found.offset, found.link, found.state) == (WORK, AT, AT + 8, state)


def test_the_first_pool_s_number_is_zero() -> None:
    """A zero, an empty list and a function may be other things: "if" is said."""
    scene = Asked()
    scene.work(0)
    (found,) = scene.found()
    assert (found.kind, found.state, found.sure) == (WORK, OVER, False)


@pytest.mark.parametrize("says", [NO_POOL | 1, 0xFFFF8000 | 5, (1 << 40) << SHIFT])
def test_what_waits_in_a_queue_or_says_something_else_is_not_idle(says: int) -> None:
    scene = Asked()
    scene.work(says)
    assert scene.found() == []


def test_what_a_kernel_without_these_enumerators_says_is_not_known() -> None:
    scene = Asked()
    del scene.image.enums["WORK_OFFQ_POOL_SHIFT"]
    scene.work(NO_POOL)
    assert scene.found() == []


@pytest.mark.parametrize(
    ("armed", "due", "says", "state"),
    [
        (True, NOW + 9, NO_POOL, DELETED),
        (True, NOW - 9, 2 << SHIFT, OVER),
        (False, 0, NO_POOL, NEVER),
        (False, 0, 2 << SHIFT, OVER),
    ],
)
def test_a_delayed_work_item_has_both(armed: bool, due: int, says: int, state: str) -> None:
    scene = Asked()
    later = scene.pages.heap.function("delayed_work_timer_fn")
    start = scene.pages.heap.layout.place.kernel
    scene.image.symbols.update({"_stext": start, "_etext": start + 0x40000})
    scene.work(says)
    scene.put(AT + 32, scene.poison if armed else 0, 0, due, later)
    (found,) = scene.found()
    assert (found.kind, found.offset, found.state) == (DELAYED_WORK, AT, state)
    assert found.function == "conn_flush [bar]"


# --- the sentence ---

TEXTS: Dict[str, Idle] = {
    "was armed and deleted before it was due": Idle(TIMER, 8, 8, "expire", DELETED, 7.0),
    "was armed and is over: it was called and did not free the object, or was deleted": Idle(
        TIMER, 8, 8, "expire", OVER, -2.0
    ),
    "was queued and is over: it was called": Idle(WORK, 8, 16, "flush", OVER),
    "is not queued: it never was, or was cancelled, before or after it was called.": Idle(
        WORK, 8, 16, "flush", NEVER
    ),
}


def with_idle(address: int, *idle: Idle, kind: str = "") -> Subject:
    made = subject(address, kind)
    made.idle = list(idle)
    return made


@pytest.mark.parametrize("text", TEXTS)
def test_what_became_of_it_is_told(text: str) -> None:
    idle = TEXTS[text]
    finding = only(case(with_idle(1, idle), with_idle(2, idle), twins=0))
    assert f"Their {idle.kind} at +0x8, {idle.function}, {text}" in finding.sentence
    assert "do not show" not in finding.sentence
    assert any("not pending" in each.text for each in finding.evidence)


def test_of_memory_that_is_not_cleared_it_may_be_the_last_owner_s() -> None:
    made = case(with_idle(1, Idle(WORK, 8, 16, "flush", OVER)), twins=0)
    assert "the last owner" not in only(made).sentence
    made.uncleared = True
    assert "Or those are words of the last owner of that memory." in only(made).sentence


def test_a_number_and_a_function_may_be_those_of_another_structure() -> None:
    made = with_idle(1, Idle(WORK, 8, 16, "flush", OVER, sure=False))
    assert (
        "If +0x8 is a work item, of flush, it was queued and is over" in only(case(made)).sentence
    )


def test_what_only_some_have_or_say_is_not_told_of_all() -> None:
    over, never = Idle(WORK, 8, 16, "flush", OVER), Idle(WORK, 8, 16, "flush", NEVER)
    for first, second in ((over, never), (over, None)):
        other = with_idle(2, *([] if second is None else [second]))
        finding = only(case(with_idle(1, first), other, twins=0))
        assert "flush" not in finding.sentence
        assert "do not show" in finding.sentence


def test_the_node_of_a_work_item_is_no_list_of_the_object_s() -> None:
    made = with_idle(1, Idle(WORK, 0x18, 0x20, "flush", OVER), kind="list empty")
    assert "points to itself" not in only(case(made, twins=0)).sentence
