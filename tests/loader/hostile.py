# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that no friend of crash would write, and the lines that run them."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

from .builds import compile_command

DEEPEST = 20
"""How many programs may run inside each other (interp.c)."""

COMMANDS = (
    "deep many_failures many_questions descriptors names descriptor inner_descriptor chatter"
    " threaded idle_type_loop ignores stop late"
).split()

KIT = f"""
import crash
for name in {COMMANDS!r}:
    crash.register_epython_prog(name, "s", "s", "s")
"""

DEEP = """
import crash, sys
print("level", sys.argv[1])
print(crash.exec_crash_command(f"deep {int(sys.argv[1]) + 1}"), end="")
"""

ITSELF = """
import crash
print(crash.exec_crash_command("extend itself.py"), end="")
"""

# crash has 2000 buffers for one command; a failing `task` keeps three.
MANY_FAILURES = """
import crash
for _ in range(3000):
    try:
        crash.exec_crash_command("task 99999")
    except crash.error as error:
        assert "invalid task" in str(error), error
print(crash.exec_crash_command("p 6 * 7"), end="")
"""

MANY_QUESTIONS = """
import crash
for _ in range(3000):
    assert crash.member_offset("page", "no_such") == -1
    crash.phys_to_page(1 << 60)
    for kind in crash.KVADDR, crash.UVADDR, crash.PHYSADDR:
        try:
            crash.readmem(2**64 - 2**16, 8, kind)
        except crash.error:
            pass
print(crash.exec_crash_command("p 6 * 7"), end="")
"""

DESCRIPTORS = """
import crash, os
before = len(os.listdir("/proc/self/fd"))
for _ in range(5):
    for line in "list -Z < lines", "struct no_such_struct", "struct < lines", "kmem -Z":
        try:
            crash.exec_crash_command(line)
        except crash.error:
            pass
print(len(os.listdir("/proc/self/fd")) - before)
"""

NAMES = """
import crash
address = crash.sym2addr("slab_caches")
module = [int(row.split()[2], 16) for row in crash.exec_crash_command("mod").splitlines()[1:]][0]
try:
    crash.exec_crash_command("spoil")
except crash.error:
    pass
print(crash.addr2sym(address), crash.addr2sym(address + 3, True), crash.addr2mod(module + 16))
"""

# A pipe that is full makes write() wait; the timer's signal ends that, and Python's handler
# prints to the stream that is just being written.
CHATTER = """
import signal
def chat(number, frame):
    print("tick " * 100)
signal.signal(signal.SIGALRM, chat)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
for number in range(20000):
    print("line", number, "of many")
signal.setitimer(signal.ITIMER_REAL, 0)
"""

THREADED = """
import crash, threading
def attempt():
    for name, arguments in sorted(CALLS.items()):
        try:
            getattr(crash, name)(*arguments)
        except BaseException as error:
            print(name, type(error).__name__, error)
        else:
            print(name, "answered")
CALLS = {
    "exec_crash_command": ("p 6",), "get_GDB_output": ("p 6",), "readmem": (4096, 8, 4),
    "struct_size": ("page",), "sym2addr": ("slab_caches",), "phys_to_page": (4096,),
    "register_epython_prog": ("a", "b", "c", "d"),
}
thread = threading.Thread(target=attempt)
thread.start()
thread.join()
print(crash.exec_crash_command("p 6 * 7"), end="")
"""

TEXTS: Dict[str, str] = {
    "hostile.py": KIT,
    "deep.py": DEEP,
    "itself.py": ITSELF,
    "many_failures.py": MANY_FAILURES,
    "many_questions.py": MANY_QUESTIONS,
    "descriptors.py": DESCRIPTORS,
    "names.py": NAMES,
    "chatter.py": CHATTER,
    "threaded.py": THREADED,
    "descriptor.py": (
        "import crash, sys\n"
        "print(sys.stdout.fileno() >= 0)\n"
        "print(crash.exec_crash_command('inner_descriptor'), end='')\n"
    ),
    "inner_descriptor.py": (
        "import sys\n"
        "try:\n    print(sys.stdout.fileno())\n"
        "except OSError as error:\n    print(type(error).__name__, error)\n"
    ),
    "idle_type_loop.py": (
        "import crash, threading\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "print('started', flush=True)\n"
        "while True:\n    crash.member_offset('kmem_cache', 'list')\n"
    ),
    "ignores.py": (
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('ignored')\n"
    ),
    "stop.py": (
        "import crash, signal\n"
        "def stop(number, frame):\n    raise RuntimeError('my own end')\n"
        "signal.signal(signal.SIGINT, stop)\n"
        "crash.exec_crash_command('ignores')\n"
        "print('started', flush=True)\n"
        "while True:\n    sum(range(10))\n"
    ),
    "late.py": "import crash\ncrash.register_epython_prog('too_late', 's', 's', 's')\n",
}

# Names that are no UTF-8, as a damaged dump may have them.
SPOIL_C = """
#include <defs.h>

static void command(void)
{
    int i;

    symbol_search("slab_caches")->name[0] = '\\xff';
    for (i = 0; i < st->mods_installed; i++)
        st->load_modules[i].mod_name[0] = '\\xfe';
}

static char *page[] = {NAME, "spoils names", "", "", NULL};
static struct command_table_entry table[] = {{NAME, command, page, 0}, {NULL, NULL, NULL, 0}};

static void __attribute__((constructor)) arrive(void)
{
    register_extension(table);
}
"""

STORY = [
    ("loaded", "extend {loader} hostile.py spoil.so"),
    ("deep", "deep 1"),
    ("itself", "extend itself.py"),
    ("many failures", "many_failures"),
    ("many questions", "many_questions"),
    ("descriptors", "descriptors"),
    ("descriptor", "descriptor"),
    ("reader", "!mkfifo fifo; (sleep 0.5; cat; touch read) >heard 2>/dev/null <fifo &"),
    ("chatter", "chatter > fifo"),
    ("read", "!until [ -e read ]; do sleep 0.1; done"),
    ("threaded", "threaded"),
    ("names", "names"),
    ("alive", "p 6 * 7"),
]


def write_all(folder: Path) -> None:
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    (folder / "lines").write_text("one\ntwo\n")
    compile_command(folder / "spoil.so", "spoil", SPOIL_C)
