# SPDX-License-Identifier: GPL-3.0-or-later
"""drgn as host: the same text as in crash, on a dump of each kernel; and the program's ways.

Which sets of objects are right is the matrix' matter, drgn's column included.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Tuple

import pytest

from crash_ext.commands import COMMANDS
from tests import lab
from tests.lab.drgnsession import run_lines_on_drgn
from tests.lab.dumps import Dump
from tests.lab.forms import form
from tests.lab.often import kernels
from tests.lab.session import SLABLEAK, run_lines

_OF_A_MODULE = re.compile(r"\b(0xffffffffc0[0-9a-f]{6}) <\w+>")
CRASHES = {"5.10": "8.0.2", "6.1": "8.0.2", "6.12": "8.0.6", "7.3": "9.0.2"}


_OF_MODULES = re.compile(
    "debug information of slabtest isn.*t loaded|no structure named like the cache"
).search


def lines_of(dump: Dump, folder: Path) -> List[str]:
    """Command lines that have every option of every command."""
    caches = dump.truth["caches"]["slab_test"]
    live, left = caches["live"]["kmem_cache"], caches["leftover"]["kmem_cache"]
    leaked = dump.truth["objects"]["slab_test"]["leftover"]["leaked"][0]["addr"]
    lines = {
        "slabdup": [
            *("", "-a", "-p", "-j", "-R", "-aj", "slab_test", "-j slab_test", live),
            f"-j -o {folder}/dup.json",
        ],
        "slabobjs": [
            *("slab_test", "-q slab_test", leaked, "-j slab_test", "-e slab_test", "-g slab_test"),
            *(f"-r {left}", f"-rj {left}", "-f slab_test", "-n 0 -l 5 slab_test", "-R slab_test"),
            *("-b 16 slab_test", "-p slab_test", "-e -l 300 kmalloc-64", "-eg task_struct"),
            *("-t list_head -l 3 slab_test", "-t kmem_cache -l 2 kmem_cache"),
            *("-t kmem_cache.name,list,flags -l 5 kmem_cache", "-t task_struct -l 2 task_struct"),
            *("-t nosuch slab_test", "-t list_head.nosuch slab_test", "nosuch", "0", "\\slab_test"),
            *(f"-q -o {folder}/addresses slab_test", "-w node=0,+0x0:4=0x4b41434a slab_test"),
        ],
        "slabwhy": [
            *("", "-F", "-j", "-p", "-R", "-T", left, "slab_test", "kmalloc-64"),
            *(f"-L {dump.folder}/log", f"-o {folder}/why.html", "-w older=1s"),
        ],
        "slablost": [
            *("", "-q", "-j", "-l 2", "-b 16", "-p", "-R", "slab_test", "-w cpu=0"),
            f"-o {folder}/lost.html",
        ],
    }
    return [f"{name} {rest}".strip() for name, own in lines.items() for rest in own]


def test_every_option_of_every_command_is_among_the_lines(tmp_path: Path) -> None:
    lines = lines_of(lab.dump("6.1", "leak"), tmp_path)
    for name, command in COMMANDS.items():
        words = [word for line in lines if line.split()[0] == name for word in line.split()[1:]]
        used = set("".join(word[1:] for word in words if re.fullmatch("-[A-Za-z]+", word)))
        assert used == set(command.options.replace(":", ""))


@pytest.mark.parametrize("kernel", kernels(["6.1"]))
def test_the_whole_output_is_the_same_as_in_crash(kernel: str, tmp_path: Path) -> None:
    dump = lab.dump(kernel, "leak")
    lines = lines_of(dump, tmp_path)
    pages = [tmp_path / "why.html", tmp_path / "lost.html"]
    # gdb's index changes which of several lines of a type's members is shown.
    in_crash = run_lines(dump, CRASHES[kernel], lines, timeout=1800, vmlinux=dump.vmlinux)
    pages_in_crash = [page.read_text(encoding="utf-8") for page in pages]
    on_drgn = run_lines_on_drgn(dump, lines)
    different = [
        line
        for line, crash, drgn in zip(lines, in_crash, on_drgn)
        if same(crash, kernel) != same(drgn, kernel) or not drgn
    ]
    assert different == []
    pages_on_drgn = [page.read_text(encoding="utf-8") for page in pages]
    assert [same(page, kernel) for page in pages_on_drgn] == [
        same(page, kernel) for page in pages_in_crash
    ]


def same(text: str, kernel: str) -> str:
    """The text without what differs: how a module's file is loaded, and names that gdb has.

    Started with --no_modules, as it has to be for 7.3, crash knows nothing of modules' files.
    Where a structure ends behind its object, words that are there by chance may be a module's
    functions: gdb names some of these, drgn none.
    """
    text = _OF_A_MODULE.sub(r"\1", text)
    if kernel == "7.3":
        return "".join(line for line in text.splitlines(True) if not _OF_MODULES(line))
    if not _OF_MODULES(" ".join(text.split())):
        return text
    # It may stand on two lines, and what follows is then wrapped otherwise.
    return " ".join(text.split()).replace("mod -s slabtest FILE", "-s FILE")


def slableak(*words: str) -> Tuple[int, str, str]:
    """The program's exit status, output and errors."""
    return _run([sys.executable, "-m", "crash_ext.drgnprogram", *words])


def _run(command: List[str], **environment: str) -> Tuple[int, str, str]:
    done = subprocess.run(
        command,
        cwd=SLABLEAK.parents[1],
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def leak() -> Dump:
    return lab.dump("6.1", "leak")


def test_the_program_runs_commands_one_after_the_other(leak: Dump) -> None:
    opened = ["-s", str(leak.vmlinux), str(leak.vmcore)]
    first, second = run_lines_on_drgn(leak, ["slabdup", "slabobjs -q slab_test"])
    words = ["slabdup", "--then", "slabobjs", "-q", "slab_test"]
    assert slableak(*opened, *words) == (0, first + second, "")


def test_the_status_tells_complete_incomplete_and_wrong_usage(leak: Dump) -> None:
    opened = ["-s", str(leak.vmlinux), str(leak.vmcore)]
    statuses = {
        words: slableak(*opened, *words.split())[0]
        for words in (
            "slabdup",
            "slabdup nosuch",
            "slabobjs -l 1 slab_test",
            "slabdup -x",
            "slabdup nosuch --then slabdup",
        )
    }
    assert statuses == {
        "slabdup": 0,
        "slabdup nosuch": 1,
        "slabobjs -l 1 slab_test": 1,
        "slabdup -x": 2,
        "slabdup nosuch --then slabdup": 1,
    }


def test_without_debug_information_it_is_one_line_that_names_the_kernel(leak: Dump) -> None:
    status, out, err = slableak(str(leak.vmcore), "slabdup")
    assert (status, out) == (1, "")
    assert re.fullmatch(
        r"slableak: no debug information of kernel 6\.1\.\S+ found:"
        r" give its vmlinux with -s FILE\n",
        err,
    )


def test_another_kernels_debug_information_is_not_taken(leak: Dump) -> None:
    other = lab.dump("6.12", "leak").vmlinux
    status, out, err = slableak("-s", str(other), str(leak.vmcore), "slabdup")
    assert (status, out) == (1, "")
    assert err.startswith("slableak: no debug information of kernel 6.1.")
    assert err.endswith(f" in {other}\n")
    assert err.count("\n") == 1


def test_drgns_own_ways_give_the_same_text(leak: Dump, tmp_path: Path) -> None:
    """A script; `%source` and then %slabdup; a plugin."""
    (expected,) = run_lines_on_drgn(leak, ["slabdup"])
    drgn = [str(Path(sys.executable).parent / "drgn"), "-q", "-c", str(leak.vmcore)]
    drgn += ["-s", str(leak.vmlinux)]
    assert _run([*drgn, str(SLABLEAK), "slabdup"]) == (0, expected, "")
    run = "from drgn.commands import run_command as run; run(prog, 'slabdup')"
    sourced = f"run(prog, 'source {SLABLEAK}'); run(prog, 'slabdup > {tmp_path}/text')"
    assert _run([*drgn, "-e", run.replace("run(prog, 'slabdup')", sourced)]) == (0, "", "")
    assert (tmp_path / "text").read_text() == expected
    plugin: Dict[str, str] = {"DRGN_PLUGINS": f"slableak={SLABLEAK}"}
    assert _run([*drgn, "-e", run], **plugin) == (0, expected, "")


def test_the_script_tells_usage_by_its_status_and_its_own_name(leak: Dump) -> None:
    drgn = [str(Path(sys.executable).parent / "drgn"), "-q", "-c", str(leak.vmcore)]
    drgn += ["-s", str(leak.vmlinux)]
    status, out, err = _run([*drgn, str(SLABLEAK), "slabdup", "-x"])
    assert (status, out) == (2, "")
    assert err.splitlines()[-1] == 'Enter "drgn -k slableak.py slabdup -h" for details.'
    assert _run([*drgn, str(SLABLEAK), "slabwhat"])[0] == 2


@pytest.mark.parametrize("part", [0.9, 0.5, 0.1])
def test_of_a_dump_that_was_cut_nothing_is_denied(leak: Dump, part: float, tmp_path: Path) -> None:
    """crash doesn't open it; drgn does, and most of it can't be read."""
    cut = tmp_path / "vmcore"
    data = leak.vmcore.read_bytes()
    cut.write_bytes(data[: int(len(data) * part)])
    words = ["slabdup", "--then", "slablost"]
    status, out, err = slableak("-s", str(leak.vmlinux), str(cut), *words)
    assert status == 1
    assert err.startswith("slabdup: slab_caches: list ")
    assert out.splitlines() == ["no cache could be read", "no allocated object could be read"]


@pytest.mark.parametrize("name", ["elf", "flattened", "lzo", "plain", "zlib", "zstd"])
def test_every_form_of_a_dump_is_read(name: str) -> None:
    dump = form(name)
    states = dump.truth["objects"]["slab_test"].values()
    account = {
        row["addr"] for each in states for s in ("leaked", "live") for row in each.get(s, [])
    }
    (listed,) = run_lines_on_drgn(dump, ["slabobjs -q slab_test"])
    assert set(listed.split()) == account
