# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python programs that the tests load into crash, as file names and texts."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

from .builds import ROOT

KIT_COMMANDS = (
    "hello answers counter edited raises mute traced untraced exits lines odd streams nested"
    " failures paths unloader dirty loop command_loop type_loop long"
).split()

KIT = f"""
import crash
for name in {KIT_COMMANDS!r}:
    page = "  100% of %s and %d are shown.\\n  Second line."
    if name == "counter":
        page = "  (100.0%) and %d are shown.\\n  Second line."
    assert crash.register_epython_prog(name, "tests 5% of " + name, "[word ... 7%]", page) is True
"""

HELLO = """
import os, sys
print(__name__, __file__ == sys.argv[0], sys.argv[1:])
print(sys.path[0] == os.path.dirname(sys.argv[0]), "" in sys.path or os.getcwd() in sys.path[1:])
"""

ANSWERS = """
import crash, json, os, sys
with open(os.path.join(os.path.dirname(__file__), "questions.json")) as file:
    questions = json.load(file)
answers = {}
for name, text in questions.items():
    try:
        answers[name] = repr(eval(text))
    except BaseException as error:
        answers[name] = f"{type(error).__module__}.{type(error).__name__}: {error}"
print(json.dumps(answers))
"""

NESTED = """
import crash, sys
before = sys.argv, sys.path, sys.stdout, sys.modules["__main__"]
print("outer, to be first", end="")
inner = crash.exec_crash_command("hello from inside")
print(": end of its line")
print(inner, end="")
print(before == (sys.argv, sys.path, sys.stdout, sys.modules["__main__"]))
print(crash.exec_crash_command("counter") != crash.exec_crash_command("counter"))
"""

FAILURES = """
import crash
def attempt(line):
    try:
        return crash.exec_crash_command(line)
    except crash.error as error:
        return "error " + str(error)
for _ in range(50):
    failed = attempt("struct no_such_struct"), attempt("kmem -Z"), attempt("list 0 1 2")
print(failed[0], end="")
print(attempt("sym -q no_such_symbol_at_all") != "")
# Uses crash's temporary file, which a failed command may have left open.
print(attempt("struct list_head"), end="")
print(attempt("rd -z"), end="")
"""

LONG = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from crash_ext.report.progress import Progress
with Progress("long") as progress:
    for part in range(30):
        progress.tell(part, 30)
        time.sleep(0.05)
    print("result")
    for part in range(30):
        progress.tell(part, 30)
        time.sleep(0.02)
    print("end")
"""

TEXTS: Dict[str, str] = {
    "kit.py": KIT,
    "hello.py": HELLO,
    "answers.py": ANSWERS,
    "kit_state.py": "calls = 0\n",
    "counter.py": "import kit_state\nkit_state.calls += 1\nprint('call', kit_state.calls)\n",
    "edited.py": "print('before')\n",
    "edited.new": "print('after, and longer')\n",
    "raises.py": "print('unfinished', end='')\nraise ValueError('two\\nlines')\n",
    "mute.py": "raise ValueError\n",
    "traced.py": "import os\nos.environ['PYEXTEND_DEBUG'] = '1'\nraise ValueError('why')\n",
    "untraced.py": "import os\ndel os.environ['PYEXTEND_DEBUG']\nraise ValueError('why')\n",
    "exits.py": "import sys\nprint('said')\nsys.exit('unsaid')\n",
    "lines.py": "import sys\nfor i in range(int(sys.argv[1])):\n    print('line', i)\n",
    "odd.py": "print('h\\u00e9 \\ud800')\n",
    "streams.py": (
        "import sys\n"
        "print('out'); print('err', file=sys.stderr); print('out again')\n"
        "print(sys.stdout.isatty(), sys.stdout.encoding, repr(sys.stdin.read()))\n"
    ),
    "nested.py": NESTED,
    "failures.py": FAILURES,
    "paths.py": "import sys\nprint('/nowhere' in sys.path)\nsys.path.append('/nowhere')\n",
    "unloader.py": "import crash\nprint(crash.exec_crash_command('extend -u kit.py'), end='')\n",
    "dirty.py": (
        "import sys\nprint('left' in globals(), sys.stdout is None)\nleft = 1\nsys.stdout = None\n"
    ),
    "long.py": LONG,
    "loop.py": (
        "print('started')\n"
        "try:\n    while True:\n        sum(range(10))\n"
        "finally:\n    print('cleaned up')\n"
    ),
    "command_loop.py": (
        "import crash, sys\n"
        "print('started', flush=True)\n"
        "while True:\n"
        "    try:\n        crash.exec_crash_command(' '.join(sys.argv[1:]))\n"
        "    except crash.error:\n        pass\n"
    ),
    "type_loop.py": (
        "import crash\n"
        "print('started', flush=True)\n"
        "while True:\n    crash.member_offset('kmem_cache', 'list')\n"
    ),
    "bad_raise.py": (
        "import crash, bad_module\n"
        "crash.register_epython_prog('never', 's', 's', 's')\n"
        "raise RuntimeError('on purpose')\n"
    ),
    "bad_module.py": "",
    "bad_syntax.py": "def broken(:\n",
    "bad_nothing.py": "import kit_state\n",
    "bad_exit.py": "import sys\nsys.exit('unsaid')\n",
    "bad_clash.py": "import crash\nprint(crash.register_epython_prog('kmem', 's', 's', 's'))\n",
    "half_clash.py": (
        "import crash\n"
        "print(crash.register_epython_prog('ps', 's', 's', 's'))\n"
        "print(crash.register_epython_prog('mine', 's', 's', 's'))\n"
        "print(crash.register_epython_prog('mine', 's', 's', 's'))\n"
    ),
    "mine.py": "print('mine runs')\n",
}


def one_command(name: str) -> str:
    """A script that registers one command of that name."""
    return f"import crash\ncrash.register_epython_prog('{name}', 's', 's', 's')\n"


def write_all(folder: Path) -> None:
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
