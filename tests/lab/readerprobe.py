# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `readerprobe FILE` in crash: questions to the Reader, and its answers as JSON.

A question is a list: a method's or attribute's name, then its arguments, of which one may be a
question itself. ["+", a, b] is a sum. FILE has one a line. drgn is asked by answer() right away.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import Any, List

if __name__ == "__main__":
    sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(sys.argv[0]), "..", "..")))

from crash_ext.host.target import Target
from crash_ext.reader import Reader, ReadError

Question = List[Any]


def answer(reader: Reader, question: Question) -> Any:
    """What json takes: bytes are hex, iterators lists, a ReadError is {"unreadable": ADDRESS}."""
    name, *arguments = question
    values = [answer(reader, each) if isinstance(each, list) else each for each in arguments]
    if name == "+":
        return sum(values)
    found = getattr(reader, name)
    if callable(found):
        try:
            found = found(*values)
        except ReadError as error:
            return {"unreadable": error.address}
    if isinstance(found, bytes):
        return found.hex()
    plain = found is None or isinstance(found, (int, str, dict))
    # As json gives it back: tuples are lists, keys are strings.
    return json.loads(json.dumps(found if plain else list(found)))


def main(path: str) -> None:
    reader = Target(import_module("crash"))
    with open(path, encoding="utf-8") as file:
        for line in file:
            print(json.dumps(answer(reader, json.loads(line))))
    sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        import_module("crash").register_epython_prog("readerprobe", "questions", "", "")
