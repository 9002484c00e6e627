# SPDX-License-Identifier: GPL-3.0-or-later
"""A caller has file and line of its call where the host can tell, and else its name alone."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from crash_ext.host.target import Target
from crash_ext.leak.duplicates import all_caches
from crash_ext.places.callers import caller_text, logged_caller_text
from crash_ext.places.calls import between
from crash_ext.places.places import Places
from crash_ext.slub.session import Session
from mocks.crash_module import FakeCrash
from mocks.heap import Heap
from mocks.image import Image
from mocks.landscape import Landscape
from mocks.layouts import LAYOUTS

SYMBOLS = {b"alloc": (0, 0x38), b"leave": (0x40, 0x20), b"init_module": (0x400, 0x10)}


class Scene(NamedTuple):
    """A kernel with a module, and a gdb that can be told lines of source."""

    places: Places
    image: Image
    fake: FakeCrash
    module: int
    """Its first address."""
    function: int
    """Of the kernel: kmem_cache_free()."""
    following: int
    """The function behind that one."""

    def code(self, data: bytes) -> None:
        """In the module's leave(), at +0x5."""
        self.image.unmap(self.module + 0x45, len(data))
        self.image.map(self.module + 0x45, data)

    def line(self, address: int, text: str) -> None:
        self.fake.gdb[f"info line *0x{address:x}"] = text


@pytest.fixture(name="scene")
def fixture_scene() -> Scene:
    return scene_of()


def scene_of() -> Scene:
    heap = Heap(LAYOUTS["6.1"])
    land = Landscape(heap)
    module = land.module(b"slabtest", SYMBOLS, init=0x4000)
    function, following = map(heap.function, ("kmem_cache_free", "kmem_cache_size"))
    fake = FakeCrash(heap.image)
    session = Session(Target(fake, heap.image.byteorder))
    return Scene(
        Places(session, lambda: all_caches(session, [])),
        heap.image,
        fake,
        module,
        function,
        following,
    )


def told(line: int, file: str) -> str:
    """What gdb says."""
    return f'Line {line} of "{file}" starts at address 0xffffffffc0500000 <alloc> and ends at ..\n'


def test_a_callers_line_is_that_of_the_byte_before_the_return(scene: Scene) -> None:
    scene.line(scene.function + 0xF, told(12, "mm/slub.c"))
    scene.line(scene.function + 0x10, told(99, "mm/slub.c"))
    assert caller_text(scene.places, scene.function + 0x10) == (
        "kmem_cache_free+0x10 (mm/slub.c:12)"
    )


def test_a_module_built_elsewhere_has_its_files_name_alone(scene: Scene) -> None:
    scene.line(scene.module + 0x14, told(234, "/home/me/src/slabtest.c"))
    text = caller_text(scene.places, scene.module + 0x15)
    assert text == "alloc+0x15 [slabtest] (slabtest.c:234)"


@pytest.mark.parametrize(
    "answer",
    [
        "",
        told(0, "mm/slub.c"),
        told(590, "include/linux/slab.h"),
        told(590, "/usr/src/linux-headers/include/linux/slab.h"),
        "No line number information available for address 0xffffffffc0500014 <alloc+20>\n",
        'Line number 12 is out of range for "mm/slub.c".\n',
    ],
)
def test_without_a_line_of_its_own_it_is_the_name(scene: Scene, answer: str) -> None:
    scene.line(scene.module + 0x14, answer)
    assert caller_text(scene.places, scene.module + 0x15) == "alloc+0x15 [slabtest]"


def test_a_line_without_code_of_its_own_counts(scene: Scene) -> None:
    answer = 'Line 7 of "a.c" is at address 0xffffffffc0500014 <alloc> but contains no code.\n'
    scene.line(scene.module + 0x14, answer)
    assert caller_text(scene.places, scene.module + 0x15) == "alloc+0x15 [slabtest] (a.c:7)"


def test_freed_code_and_what_has_no_name_get_no_line(scene: Scene) -> None:
    for address in (scene.module + 0x4010, 0x1234):
        scene.line(address - 1, told(3, "slabtest.c"))
    freed = caller_text(scene.places, scene.module + 0x4010)
    assert freed == "freed init code of [slabtest]"
    assert caller_text(scene.places, 0x1234) == "0000000000001234"


def test_each_address_is_asked_once(scene: Scene, mocker: MockerFixture) -> None:
    asked = mocker.spy(scene.fake, "get_GDB_output")
    for _ in range(3):
        caller_text(scene.places, scene.module + 0x15)
        caller_text(scene.places, scene.function + 4)
    assert asked.call_count == 2


def test_the_logs_frame_gets_the_line_of_the_function_that_it_names(scene: Scene) -> None:
    scene.line(scene.module + 0x44, told(41, "slabtest.c"))
    # The log counts what is between this function and the next one as its own.
    for size in (0x20, 0x30):
        frame = f"leave+0x5/{size:#x} [slabtest]"
        assert logged_caller_text(scene.places, frame) == f"{frame} (slabtest.c:41)"
    with_id = "leave+0x5/0x20 [slabtest 0123456789abcdef]"
    assert logged_caller_text(scene.places, with_id) == f"{with_id} (slabtest.c:41)"


def test_the_logs_frame_in_the_kernel_gets_its_line_too(scene: Scene) -> None:
    size = scene.following - scene.function
    scene.line(scene.function + 4, told(5, "mm/slub.c"))
    frame = f"kmem_cache_free+0x5/{size:#x}"
    assert logged_caller_text(scene.places, frame) == f"{frame} (mm/slub.c:5)"
    # Another static function of that name.
    for other in (size - 4, size + 4):
        frame = f"kmem_cache_free+0x5/{other:#x}"
        assert logged_caller_text(scene.places, frame) == frame


@pytest.mark.parametrize(
    "frame",
    [
        "leave+0x5/0x21f [slabtest]",
        "leave+0x5/0x10 [slabtest]",
        "leave+0x25/0x20 [slabtest]",
        "leave+0x5/0x20 [other]",
        "leave+0x5/0x20",
        "elsewhere+0x5/0x20 [slabtest]",
        "0xffffffffc0500045",
    ],
)
def test_a_frame_that_fits_no_function_of_the_dump_stays_as_it_is(
    scene: Scene, frame: str, mocker: MockerFixture
) -> None:
    mocker.patch.object(scene.fake, "get_GDB_output", return_value=told(41, "slabtest.c"))
    assert logged_caller_text(scene.places, frame) == frame


DESTROY = "kmem_cache_free"
"""In place of kmem_cache_destroy(), which no layout has."""


def call(scene: Scene, target: int) -> str:
    """The frame that a call in the module's leave() is told as, which goes to an address."""
    at = scene.module + 0x45
    scene.code(b"\xe8" + ((target - at - 5) & 0xFFFFFFFF).to_bytes(4, "little"))
    return "leave+0xa/0x20 [slabtest]"


def test_the_callers_call_shows_whether_it_called_itself(scene: Scene) -> None:
    frame = call(scene, scene.function)
    assert between(scene.places, frame, DESTROY) == ""
    # x86_64's call depth tracking goes to what is before the function.
    assert between(scene.places, call(scene, scene.function - 10), DESTROY) == ""


def test_a_function_that_jumped_there_is_named(scene: Scene) -> None:
    frame = call(scene, scene.module)
    assert between(scene.places, frame, DESTROY) == "alloc [slabtest]"
    frame = call(scene, scene.following)
    assert between(scene.places, frame, DESTROY) == "kmem_cache_size"


def test_arm64s_call_shows_it_too(scene: Scene) -> None:
    for target, name in ((scene.module, "alloc [slabtest]"), (scene.module + 0x40, "leave")):
        at = scene.module + 0x48
        word = 0x25 << 26 | ((target - at) >> 2) & 0x3FFFFFF
        scene.code(b"\0\0\0" + word.to_bytes(4, "little"))
        found = between(scene.places, "leave+0xc/0x20 [slabtest]", DESTROY)
        assert (found or "").startswith(name)


@pytest.mark.parametrize("target", ["middle", "thunk", "nowhere", "no call", "unread"])
def test_a_call_that_may_go_anywhere_names_nobody(scene: Scene, target: str) -> None:
    frame = call(scene, scene.module + 4 if target == "middle" else 0xFFFFFFFF40000000)
    if target == "thunk":
        scene.image.symbols["__x86_indirect_thunk_rax"] = scene.following + 0x200
        frame = call(scene, scene.following + 0x200)
    if target == "no call":
        scene.code(b"\xff\x15\0\0\0")
    if target == "unread":
        frame = "leave+0xb/0x20 [slabtest]"
    assert between(scene.places, frame, DESTROY) is None
    assert between(scene.places, "elsewhere+0x5/0x20 [slabtest]", DESTROY) is None
    assert between(scene.places, frame, "kmem_cache_destroy") is None


_SCENE = scene_of()


@given(st.one_of(st.text(), st.from_regex(r"\w+\+0x[0-9a-f]+/0x[0-9a-f]+( \[\w+\])?")))
def test_any_text_of_a_log_is_taken(frame: str) -> None:
    assert logged_caller_text(_SCENE.places, frame).startswith(frame)
