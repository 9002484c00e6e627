# SPDX-License-Identifier: GPL-3.0-or-later
"""one-dump.sh under xargs over real dumps, a damaged one and one that isn't there; merged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List

import pytest

from tests import lab
from tests.batch import BATCH, offences
from tests.install.machine import TOP
from tests.lab.dumps import Dump
from tests.lab.indexed import indexed

ONE_DUMP = BATCH / "one-dump.sh"
LOADED = f"{TOP}/build/pyextend.so {TOP}/crash_ext/slableak.py"


def environment(**more: str) -> Dict[str, str]:
    return {**os.environ, "TERM": "dumb", "SLABLEAK": LOADED, **more}


def one_dump(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(ONE_DUMP), *arguments],
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )


def records(path: Path) -> List[Dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(name="dumps", scope="module")
def fixture_dumps() -> List[Dump]:
    found = [lab.dump("6.1", "leak"), lab.dump("5.10", "all")]
    return [replace(dump, vmlinux=indexed(dump, "8.0.2")) for dump in found]


def test_many_dumps_and_one_table(dumps: List[Dump], tmp_path: Path) -> None:
    short = tmp_path / "short"
    whole = dumps[0].vmcore.read_bytes()
    short.write_bytes(whole[: len(whole) // 2])
    lines = [
        (dumps[0].vmlinux, dumps[0].vmcore, "leak.jsonl"),
        (dumps[1].vmlinux, dumps[1].vmcore, "all.jsonl"),
        (dumps[0].vmlinux, short, "short.jsonl"),
        (dumps[0].vmlinux, tmp_path / "nosuch", "nosuch.jsonl"),
        (dumps[1].vmlinux, dumps[0].vmcore, "other.jsonl"),
    ]
    (tmp_path / "list").write_text("".join(" ".join(map(str, line)) + "\n" for line in lines))
    with open(tmp_path / "list") as given:
        done = subprocess.run(
            ["xargs", "-P", "2", "-L", "1", "sh", str(ONE_DUMP)],
            cwd=tmp_path,
            stdin=given,
            env=environment(),
            timeout=300,
        )
    assert done.returncode == 123, "some of them failed"
    outs = [name for _, _, name in lines]
    for name in outs:
        written = records(tmp_path / name)
        assert [text for record in written for text in offences(record)] == []
        assert (written[0]["type"], written[-1]["type"]) == ("dump", "run")
    merged = subprocess.run(
        [sys.executable, str(BATCH / "merge.py"), *outs],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert merged.returncode == 1
    rows = [line.split() for line in merged.stdout.splitlines()]
    releases = {dump: records(tmp_path / name)[-1]["kernel"] for dump, name in zip("ab", outs)}
    assert releases["a"].startswith("6.1.")
    assert releases["b"].startswith("5.10.")
    leftovers = {(row[0], row[7]): row[5] for row in rows if row[2:3] == ["leftover"]}
    assert {row[1] for row in rows if row[2:3] == ["leftover"]} == {"slabtest"}
    for dump, release in zip(dumps, releases.values()):
        told = {
            (release, name): str(len(roles["leftover"]["leaked"]))
            for name, roles in dump.truth["objects"].items()
            if roles.get("leftover")
        }
        assert told.items() <= leftovers.items()
    for name in outs[2:]:
        assert any(row[:2] == [f"{name}:", "incomplete:"] for row in rows), merged.stdout
    assert rows[-1] == (
        "dumps: 5; complete: 2 with leftovers or unknown caches, 0 clean; incomplete: 3".split()
    )


def test_a_run_that_is_given_up_says_so(dumps: List[Dump], tmp_path: Path) -> None:
    out = tmp_path / "out"
    where = (str(dumps[0].vmlinux), str(dumps[0].vmcore), str(out))
    assert one_dump(*where, LIMIT="0.5").returncode == 1
    first, last = records(out)
    assert first["commands"] == ["slabdup -j", "slabwhy -j"]
    assert (last["type"], last["status"], last["kernel"]) == ("run", 124, None)
    assert last["reason"]


def test_what_is_to_be_run_is_written_first(tmp_path: Path) -> None:
    """So that a job which is killed leaves what merge.py calls incomplete."""
    fake = tmp_path / "crash"
    fake.write_text(f'#!/bin/sh\ncp "{tmp_path}/out" "{tmp_path}/seen"\necho "it\\"s over"\n')
    fake.chmod(0o755)
    commands = 'slabdup -j\n\nslabobjs -jb 0 "a b"'
    done = one_dump("k", "c", str(tmp_path / "out"), CRASH=str(fake), COMMANDS=commands)
    assert done.returncode == 1
    (seen,) = records(tmp_path / "seen")
    assert seen["commands"] == ["slabdup -j", 'slabobjs -jb 0 "a b"']
    assert records(tmp_path / "out") == [
        seen,
        {"type": "run", "kernel": None, "status": 0, "reason": 'it"s over'},
    ]


@pytest.mark.parametrize(
    ("there", "loaded"),
    [
        (["pyextend.so"], ["pyextend.so", "crash_ext/slableak.py"]),
        (["build/pyextend.so"], ["build/pyextend.so", "crash_ext/slableak.py"]),
        (["build/slableak.so"], ["build/slableak.so"]),
        (["crash_ext/batch/slableak.so"], ["crash_ext/batch/slableak.so"]),
        (["build/slableak.so", "pyextend.so"], ["pyextend.so", "crash_ext/slableak.py"]),
        ([], ["slableak.so"]),
    ],
)
def test_it_loads_what_it_lies_beside(there: List[str], loaded: List[str], tmp_path: Path) -> None:
    top = tmp_path / "top"
    batch = top / "crash_ext" / "batch"
    batch.mkdir(parents=True)
    shutil.copy(ONE_DUMP, batch)
    for name in (*there, "crash_ext/slableak.py"):
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).touch()
    fake = tmp_path / "crash"
    fake.write_text(f"""#!/bin/sh
while [ "$1" != -i ]; do shift; done
sed -n 's/^extend //p' "$2" >{tmp_path}/extended
""")
    fake.chmod(0o755)
    subprocess.run(
        ["sh", str(batch / "one-dump.sh"), "k", "c", str(tmp_path / "out")],
        env=environment(SLABLEAK="", CRASH=str(fake)),
    )
    extended = [Path(line) for line in (tmp_path / "extended").read_text().split()]
    if there:
        assert [path.resolve() for path in extended] == [top / name for name in loaded]
    else:
        assert extended == [Path(loaded[0])]


def test_what_could_not_be_loaded_is_the_reason(dumps: List[Dump], tmp_path: Path) -> None:
    out = tmp_path / "out"
    where = (str(dumps[0].vmlinux), str(dumps[0].vmcore), str(out))
    assert one_dump(*where, SLABLEAK="nosuch.so").returncode == 1
    _, last = records(out)
    assert last["reason"].startswith("extend: nosuch.so: ")


def test_without_crash_drgn_does_it(dumps: List[Dump], tmp_path: Path) -> None:
    program = tmp_path / "bin" / "slableak"
    program.parent.mkdir()
    program.write_text(f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(TOP)!r})
from crash_ext.drgnprogram import main
sys.exit(main())
""")
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    both = []
    for name, more in (("crash", {}), ("drgn", {"HOST": "drgn", "PATH": path})):
        # drgn tells a dump by its own path, not by a link to it.
        where = (str(dumps[0].vmlinux), str(dumps[0].vmcore.resolve()), str(tmp_path / name))
        assert one_dump(*where, **more).returncode == 0
        both.append(records(tmp_path / name))
    assert [record for record in both[1] if record["type"] == "finding"]
    # Each says how it is given a module's debug information.
    same = [[one for one in told if one.get("topic") != "type"] for told in both]
    assert same[0] == same[1]


def test_usage() -> None:
    done = one_dump("vmlinux", "vmcore")
    assert (done.returncode, done.stdout) == (2, "Usage: one-dump.sh VMLINUX VMCORE OUT\n")
