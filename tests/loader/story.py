# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of crash: the lines that it is given, in order, and what it said to each."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Mapping, Sequence, Tuple

from .builds import CRASH_INCLUDE, compile_alone, compile_command, compile_loader
from .programs import one_command, write_all

SYMBOL = "slab_caches"

QUESTIONS = {
    "native": "__import__('_slableak').VERSION",
    "symbol_exists": f"crash.symbol_exists('{SYMBOL}'), crash.symbol_exists('no_such_symbol')",
    "sym2addr": f"hex(crash.sym2addr('{SYMBOL}')), crash.sym2addr('no_such_symbol')",
    "sym2alladdr": f"crash.sym2alladdr('{SYMBOL}') == [crash.sym2addr('{SYMBOL}')],"
    " len(crash.sym2alladdr('__func__.0')) > 1, crash.sym2alladdr('no_such_symbol')",
    "addr2sym": f"[crash.addr2sym(crash.sym2addr('{SYMBOL}') + i) for i in (0, 1)]",
    "addr2sym loose": f"crash.addr2sym(crash.sym2addr('{SYMBOL}') + 3, True)",
    "addr2sym none": "crash.addr2sym(1), crash.addr2sym(1, True)",
    "addr2sym no int": "crash.addr2sym('1')",
    "addr2mod": f"crash.addr2mod(crash.sym2addr('{SYMBOL}')), crash.addr2mod(1)",
    "addr2mod all": "[(row.split()[1], crash.addr2mod(int(row.split()[2], 16) + 16))"
    " for row in crash.exec_crash_command('mod').splitlines()[1:]]",
    "readmem": f"crash.readmem(crash.sym2addr('{SYMBOL}'), 16).hex()",
    "readmem types": f"[crash.readmem(crash.sym2addr('{SYMBOL}'), 8, crash.KVADDR) =="
    f" crash.readmem(crash.sym2addr('{SYMBOL}'), 8), len(crash.readmem(4096, 8, crash.PHYSADDR))]",
    "readPtr": f"hex(crash.readPtr(crash.sym2addr('{SYMBOL}')))",
    "readInt": f"[crash.readInt(crash.sym2addr('{SYMBOL}'), size, sign)"
    " for size in (1, 2, 4, 8) for sign in (False, True)]",
    "zero": "crash.readmem(0, 8)",
    "zero pointer": "crash.readPtr(0)",
    "zero integer": "crash.readInt(0, 8)",
    "no size": f"crash.readmem(crash.sym2addr('{SYMBOL}'), 0)",
    "negative size": f"crash.readmem(crash.sym2addr('{SYMBOL}'), -1)",
    "odd integer": f"crash.readInt(crash.sym2addr('{SYMBOL}'), 3)",
    "negative": "crash.readmem(-1, 8)",
    "too wide": "crash.readmem(2**64, 8)",
    "over the end": "crash.readmem(2**64 - 2, 8)",
    "unmapped": "crash.readmem(2**64 - 2**16, 8)",
    "no int": "crash.readmem('8', 8)",
    "too few": "crash.readmem(8)",
    "odd type": "crash.readmem(4096, 8, 77)",
    "user": "crash.readmem(4096, 8, crash.UVADDR)",
    "struct_size": "[crash.struct_size(name) for name in ('kmem_cache', 'struct kmem_cache',"
    " 'no_such_struct', 'x' * 5000, '', '1+1', 'struct ')]",
    "member_offset": "[crash.member_offset(*pair) for pair in (('struct kmem_cache', 'list'),"
    " ('kmem_cache', 'list'), ('struct slab', 'slab_list'), ('page', 'lru'), ('page', 'lru.next'),"
    " ('page', 'no_such_member'), ('no_such_struct', 'list'), ('page', 'x' * 5000))]",
    "member_size": "[crash.member_size(*pair) for pair in (('kmem_cache', 'list'),"
    " ('kmem_cache', 'no_such_member'), ('no_such_struct', 'list'))]",
    "enumerator": "crash.enumerator_value('PG_slab'), crash.enumerator_value('NO_SUCH_THING'),"
    " crash.enumerator_value('1+1')",
    "phys_to_page": "hex(crash.phys_to_page(0x100000)), crash.phys_to_page(1 << 60)",
    "gdb": "crash.get_GDB_output('print sizeof(struct list_head)'),"
    " crash.get_GDB_output('print no_such_thing')",
    "command": f"crash.exec_crash_command('sym {SYMBOL}')",
    "second argument": f"crash.exec_crash_command('sym {SYMBOL}', 1) =="
    f" crash.exec_crash_command('sym {SYMBOL}')",
    "fatal": "crash.exec_crash_command('struct no_such_struct')",
    "usage": "crash.exec_crash_command('kmem -Z')",
    "empty": "crash.exec_crash_command('')",
    "unknown": "crash.exec_crash_command('no_such_command')",
    "input file": "crash.exec_crash_command('< kit.py')",
    "long line": "crash.exec_crash_command('x' * 5000)",
    "no pager": "len(crash.exec_crash_command('help kmem')) > 5000",
    "commands": "set(crash.get_epython_cmds()) >= {'hello', 'answers'}",
    "register late": "crash.register_epython_prog('late', 's', 's', 's')",
    "register wrong": "crash.register_epython_prog('late', 's', 's')",
    "error": "crash.error.__mro__",
    "constants": "crash.KVADDR, crash.UVADDR, crash.PHYSADDR, crash.PAGESIZE, crash.HZ",
    "strings": "[type(text).__name__ for text in (crash.version, crash.Crash_run,"
    " crash.Crash_build)]",
    "release": "crash.Crash_run",
    "no writing": "[name for name in dir(crash) if 'write' in name.lower()]",
    "environment": "sys.prefix",
    "isolated": "'PYTHONPATH_TRAP' in ''.join(sys.path), sys.flags.isolated, sys.flags.utf8_mode",
    "input": "input()",
}


def _thrice(line: str) -> str:
    """crash gives its shell some 10 ms to start a pipe's command: too few on a busy machine.

    And in a batch file it doesn't wait for that command's end.
    """
    return "\n".join([line, "!sleep 0.3"] * 3)


STORY = [
    # Two that don't fit this crash.
    ("wrong release", "extend wrong_release.so"),
    ("wrong layout", "extend wrong_layout.so"),
    # PyKdump is there first.
    ("epython", "extend epython.so"),
    ("loader", "extend {loader}"),
    ("handed over", "extend kit.py"),
    ("handed over for good", "extend -u kit.py"),
    ("nothing of ours", "extend"),
    ("epython gone", "extend -u epython.so"),
    # Scripts that fail.
    ("bad_raise", "extend bad_raise.py"),
    ("bad_syntax", "extend bad_syntax.py"),
    ("bad_nothing", "extend bad_nothing.py"),
    ("bad_exit", "extend bad_exit.py"),
    ("bad_clash", "extend bad_clash.py"),
    ("missing", "extend no_such_script.py"),
    ("none loaded", "extend"),
    ("never", "never"),
    ("half_clash", "extend half_clash.py"),
    ("mine", "mine"),
    ("half gone", "extend -u half_clash.py"),
    # The kit.
    ("alias", "alias hello help"),
    ("loaded", "extend kit.py other.so"),
    ("listed", "extend"),
    ("again", "extend kit.py"),
    ("loader again", "extend {loader}"),
    ("help page", "help hello"),
    ("help percent", "help counter"),
    ("help list", "help"),
    ("hello", 'hello one "two words" (3 + 4)'),
    ("other", "other x"),
    ("counter 1", "counter"),
    ("counter 2", "counter"),
    ("edited 1", "edited"),
    ("edit", "!cp edited.new edited.py"),
    ("edited 2", "edited"),
    ("raises", "raises"),
    ("mute", "mute"),
    ("traced", "traced"),
    ("untraced", "untraced"),
    ("exits", "exits"),
    ("odd", "odd"),
    ("streams", "streams"),
    ("long", "long"),
    ("streams to file", "streams > streams.out"),
    ("more to file", "exits >> streams.out"),
    ("raises to file", "raises > raises.out"),
    ("full disk", "lines 10 > /dev/full"),
    ("head", _thrice("lines 300000 | head -n 2")),
    ("tail", _thrice("lines 300000 | tail -n 1")),
    ("nested", "nested"),
    ("failures", "failures"),
    ("paths 1", "paths"),
    ("paths 2", "paths"),
    ("dirty 1", "dirty"),
    ("dirty 2", "dirty"),
    ("answers", "answers"),
    ("unloader", "unloader"),
    ("truth sym", f"sym {SYMBOL}"),
    ("truth rd", f"rd -64 {SYMBOL} 2"),
    ("truth size", "p sizeof(struct kmem_cache)"),
    ("truth list", "p &((struct kmem_cache *)0)->list"),
    ("truth lru", "p &((struct page *)0)->lru"),
    ("truth page", "kmem -p 100000"),
    # Where scripts are found.
    ("by path", "extend ./below/deep.py"),
    ("by variable", "extend by_variable.py"),
    ("beside", "extend beside.py"),
    ("in crash_ext", "extend in_crash_ext.py"),
    ("above", "extend above.py"),
    ("four more", "extend"),
    # And unloaded.
    ("unload basename", "extend -u deep.py"),
    ("unload path", "extend -u {loader_folder}/beside.py in_crash_ext.py"),
    ("unload stranger", "extend -u edited.py"),
    ("unload kit", "extend -u kit.py"),
    ("kit gone", "counter"),
    ("change state", "!echo calls = 100 > kit_state.py"),
    ("kit back", "extend kit.py"),
    ("counter anew", "counter"),
    # The loader goes and comes back.
    ("unload loader", "extend -u pyextend.so"),
    ("asleep list", "extend"),
    ("asleep", "extend kit.py"),
    ("awake", "extend {loader} kit.py"),
    ("counter awake", "counter"),
    ("unload all", "extend -u\nextend\nhello\np 6 * 7"),
]


@dataclass(frozen=True)
class Place:
    """work: the current directory of crash; loader: a copy of the loader under test."""

    work: Path
    loader: Path
    crash: Sequence[str]
    files: Sequence[str]
    environment: Mapping[str, str]

    def command(self, *options: str) -> List[str]:
        return [*self.crash, "--no_crashrc", *options, *self.files]


class Said:
    """What crash said to each line of the story, by the line's name."""

    PIPE_FAILED = "crash: pipe operation failed\n"

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def json(self, name: str) -> Any:
        return json.loads(self._texts[name])

    def piped(self, name: str) -> str:
        """What came out of a pipe, that much for each time that crash could start it."""
        return self._texts[name].replace(self.PIPE_FAILED, "")


def prepare(folder: Path, loader: Path, crash: Sequence[str], vmlinux: Path, vmcore: Path) -> Place:
    """Programs and shared objects where the story expects them."""
    work, variable, lib = folder / "work", folder / "variable", folder / "lib" / "loader"
    for made in (work / "below", variable, lib / "crash_ext", folder / "lib" / "crash_ext"):
        made.mkdir(parents=True)
    write_all(work)
    (work / "questions.json").write_text(json.dumps(QUESTIONS))
    for path in (
        work / "below" / "deep.py",
        variable / "by_variable.py",
        lib / "beside.py",
        lib / "crash_ext" / "in_crash_ext.py",
        folder / "lib" / "crash_ext" / "above.py",
    ):
        path.write_text(one_command(f"from_{path.stem}"))
    compile_command(work / "epython.so", "epython")
    compile_command(work / "other.so", "other")
    compile_command(work / "mark.so", "mark")
    copy = lib / "pyextend.so"
    shutil.copy(loader, copy)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYEXT")}
    environment.update(
        CRASH_EXTENSIONS=str(variable), HOME=str(folder), PYTHONPATH="PYTHONPATH_TRAP",
        LC_ALL="C", TERM="dumb", CRASHPAGER="/usr/bin/head -n 2",
    )  # fmt: skip
    if environment.get("LD_PRELOAD"):
        environment["LD_PRELOAD"] += f"{os.pathsep}{compile_alone(folder / 'alone.so')}"
    return Place(work, copy, crash, [str(vmlinux), str(vmcore)], environment)


def build_misfits(work: Path) -> None:
    """Loaders for a crash of another release, and for one whose structs have grown."""
    include = work / "include"
    include.mkdir()
    header = (CRASH_INCLUDE / "defs.h").read_text(errors="surrogateescape")
    assert header.count("\nstruct vm_table {") == 1
    grown = header.replace("\nstruct vm_table {", "\nstruct vm_table {\n\tlong grown;")
    (include / "defs.h").write_text(grown, errors="surrogateescape")
    for name, options, headers in (
        ("wrong_release.so", ['-DPYEXTEND_CRASH_RELEASE="1.2.3"'], CRASH_INCLUDE),
        ("wrong_layout.so", [], include),
    ):
        done = compile_loader(work / name, options, headers)
        assert not done.returncode, done.stderr


def tell(place: Place, story: Sequence[Tuple[str, str]]) -> Said:
    """Runs crash once on the lines of a story."""
    told = ["extend mark.so"]
    for number, (_, line) in enumerate(story):
        meant = line.replace("{loader_folder}", str(place.loader.parent))
        told += [f"mark {number}", meant.replace("{loader}", str(place.loader))]
    script = place.work / "story"
    script.write_text("".join(f"{line}\n" for line in [*told, "quit"]))
    done = subprocess.run(
        place.command("-s", "-i", str(script)),
        cwd=place.work,
        env=dict(place.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    parts = re.split(r"(?m)^mark: <\d+>\n", done.stdout)[1:]
    assert len(parts) == len(story), done.stdout[-3000:]
    return Said({name: part for (name, _), part in zip(story, parts)})
