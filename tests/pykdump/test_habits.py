# SPDX-License-Identifier: GPL-3.0-or-later
"""PyKdump's habits do no harm: SIGINT lost to gdb, buffers never freed, commands by file name."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, List

import pytest

from crash_ext.commands import COMMANDS
from mocks.crash_module import FakeCrash
from tests.golden import HERE as GOLDEN
from tests.pykdump.host import PACKAGE, LongjmpOutOfPython, Session
from tests.replay import recorded

RECORDING = "lab-6.1-leak"
OUTPUT = (GOLDEN / RECORDING / "slabdup").read_text()
NAMES = sorted(COMMANDS)


@pytest.fixture(name="fake")
def fixture_fake() -> FakeCrash:
    return FakeCrash(recorded(RECORDING).image)


def at_read(number: int) -> Callable[[int, int], None]:
    """What is called before each read: Ctrl-C at one of them."""
    reads: List[int] = []

    def interrupt(_address: int, _size: int) -> None:
        reads.append(1)
        if len(reads) == number:
            raise KeyboardInterrupt

    return interrupt


@pytest.mark.parametrize("number", [1, 2, 10, 300])
def test_ctrl_c_after_gdb_was_asked_leaves_the_session_alive(
    fake: FakeCrash, tmp_path: Path, number: int
) -> None:
    fake.on_read = at_read(number)
    stopped, after = Session(fake, tmp_path).run("slabdup", "slabdup")
    assert stopped.endswith("slabdup: interrupted: the output is incomplete\n")
    assert after == OUTPUT


def test_ctrl_c_after_another_program_asked_gdb(fake: FakeCrash, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("import crash\ncrash.struct_size('struct page')\n")
    session = Session(fake, tmp_path)
    fake.on_read = at_read(1)
    _, stopped = session.run("other", "slabdup")
    assert stopped.endswith("slabdup: interrupted: the output is incomplete\n")


@pytest.mark.parametrize(
    "question",
    ["struct_size('struct page')", "member_size('struct page', 'flags')", "get_GDB_output('p 1')"],
)
def test_the_stand_in_loses_the_session_where_nobody_sets_sigint_back(
    fake: FakeCrash, tmp_path: Path, question: str
) -> None:
    (tmp_path / "probe.py").write_text(
        f"import crash\ncrash.{question}\n"
        "try:\n    crash.readmem(crash.sym2addr('slab_caches'), 8)\n"
        "except BaseException:\n    pass\n"
    )
    fake.on_read = at_read(1)
    with pytest.raises(LongjmpOutOfPython):
        Session(fake, tmp_path).run("probe")


def test_memory_that_a_dump_lacks_costs_no_buffer(fake: FakeCrash, tmp_path: Path) -> None:
    session = Session(fake, tmp_path)
    (tmp_path / "many.py").write_text(
        "import sys\nfrom crash_ext.host.target import Target, host_module\n"
        "target = Target(host_module())\nsizes = 1, 2, 3, 8, 64, 4096, 1 << 18, 0, -1\n"
        "holes = [size for size in sizes for at in (0, 8, 4090, 1 << 40) "
        "if target.try_read(at, size) is None]\n"
        "print(len(holes))\nsys.stdout.flush()\n"
    )
    assert session.run("slabdup", "many")[1] == "36\n"
    assert session.leaked == 0
    (tmp_path / "probe.py").write_text(
        "import crash\ntry:\n    crash.readmem(4096, 64)\nexcept crash.error:\n    pass\n"
    )
    session.run("probe")
    assert session.leaked == 64, "as a read does that nobody has probed"


def test_a_hand_over_without_pykdumppath_gives_usable_commands(
    fake: FakeCrash, tmp_path: Path
) -> None:
    session = Session(fake, tmp_path, pykdumppath=[tmp_path])
    handed, shown = session.run(f"epython {PACKAGE}/slableak.py", "slabdup")
    assert (handed, shown) == ("", OUTPUT)
    assert sorted(session.aliases) == NAMES
    assert fake.help_pages == {}


def test_with_pykdumppath_help_knows_the_commands(fake: FakeCrash, tmp_path: Path) -> None:
    session = Session(fake, tmp_path)
    session.run("slableak")
    assert sorted(fake.help_pages) == NAMES
    assert session.aliases == {}


def test_an_alias_that_is_refused_says_what_to_set(fake: FakeCrash, tmp_path: Path) -> None:
    fake.help_pages["slabwhy"] = ("", "", "")
    session = Session(fake, tmp_path, pykdumppath=[tmp_path])
    (said,) = session.run(f"epython {PACKAGE}/slableak.py")
    assert said == (
        "slableak: slabwhy: alias: cannot alias existing command name: slabwhy;"
        f" start crash with PYKDUMPPATH={PACKAGE}\n"
    )


def test_a_directory_of_a_command_s_name_is_warned_about_and_passed_by(
    fake: FakeCrash, tmp_path: Path
) -> None:
    (tmp_path / "slabdup").mkdir()
    (tmp_path / "slabwhy").write_text("the output of yesterday\n")
    session = Session(fake, tmp_path)
    said, shown = session.run("slableak", "slabdup")
    end = "would be run for it; it is an alias now instead"
    assert said.splitlines() == [
        f"slableak: slabdup: the directory ./slabdup {end}",
        f"slableak: slabwhy: the file ./slabwhy {end}",
    ]
    assert shown == OUTPUT
    assert Session(fake, tmp_path).run("slabdup") == [""], "as it is without one"


def test_once_there_are_banners_a_file_of_its_own_is_free_of_them(
    fake: FakeCrash, tmp_path: Path
) -> None:
    library = tmp_path / "pykdump"
    library.mkdir()
    for name in ("__init__.py", "API.py"):
        (library / name).touch()
    (tmp_path / "tslog.py").write_text("import pykdump.API\n")
    session = Session(fake, tmp_path, pykdumppath=[PACKAGE, tmp_path])
    line = "slabobjs -q slab_test"
    clean, _, spoiled, said = session.run(line, "tslog", line, f"{line} -o {tmp_path}/addresses")
    assert clean in spoiled
    assert spoiled.startswith("=="), "a redirection has the banner, too"
    assert (tmp_path / "addresses").read_text() == clean
    assert f"written: {tmp_path}/addresses\n" in said
