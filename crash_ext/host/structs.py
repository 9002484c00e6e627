# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory shown as a structure, by crash's own `struct` command and in its own form.

What a user asks for reaches crash as one command line, so it may hold nothing but names.
"""

from __future__ import annotations

import re
from typing import Any, List, Optional

_EXPRESSION = re.compile(r" *(?:(struct|union) +)?(\w+)(?:\.(\w[\w.]*(?:,\w[\w.]*)*))? *", re.ASCII)


class StructError(Exception):
    """The structure isn't known, or isn't written as it must be; the text says why."""


class StructForm:
    """A structure, or members of it, as crash's `struct NAME[.member[,member...]]` shows it."""

    def __init__(self, crash: Any, expression: str) -> None:
        """expression: as for `struct` or `union`, with that word or without it.

        Raises StructError.
        """
        found = _EXPRESSION.fullmatch(expression)
        if not found:
            raise StructError(f"{expression}: not a structure, or members of one")
        self._crash = crash
        kind, name, members = found.groups()
        self._members: List[str] = members.split(",") if members else []
        self.what = f"{name}.{members}" if members else name
        """NAME or NAME.member,member"""
        self._kind = self._known_as(name, [kind] if kind else ["struct", "union"])
        self.end: Optional[int] = self._end(f"struct {name}" if self._kind == "struct" else name)
        """Bytes from its start to the end of what is shown; None where crash doesn't tell."""

    def _known_as(self, name: str, kinds: List[str]) -> str:
        """struct or union: the one that crash knows it as. Raises StructError."""
        refusals = []
        for kind in kinds:
            # Without an address it is the declaration, of one member at a time.
            wanted = [name, *(f"{name}.{member}" for member in self._members)]
            refusal = next(filter(None, (self._refusal(f"{kind} {what}") for what in wanted)), "")
            if not refusal:
                return kind
            refusals.append(refusal)
        raise StructError(refusals[0])

    def _refusal(self, line: str) -> str:
        """crash's objection to a command line; empty where there's none."""
        try:
            text: str = self._crash.exec_crash_command(line)
        except self._crash.error as error:
            return str(error).strip().partition("\n")[0] or f"{line}: crash shows nothing for it"
        # "struct: invalid data structure reference: foo" may come without an exception, too.
        said = text.strip().partition("\n")[0]
        return said if said.startswith(("struct: ", "union: ", "crash: ")) else ""

    def _end(self, struct: str) -> Optional[int]:
        if not self._members:
            size: int = self._crash.struct_size(struct)
            return size if size > 0 else None
        ends = [0]
        for member in self._members:
            outermost = member.partition(".")[0]
            offset = self._crash.member_offset(struct, outermost)
            if offset >= 0:
                ends.append(offset + self._crash.member_size(struct, outermost))
        return max(ends) or None

    def text(self, address: int) -> str:
        """It at an address, as crash prints it, without the last line's end.

        In the base that the user has chosen (`set radix`). Raises StructError.
        """
        line = f"{self._kind} {self.what} {address:x}"
        try:
            text: str = self._crash.exec_crash_command(line)
        except self._crash.error as error:
            reason = str(error).strip().partition("\n")[0]
            raise StructError(reason or f"{line}: crash shows nothing") from error
        return text.rstrip("\n")


def take_quoted(word: str, arguments: List[str]) -> str:
    """What stands in single quotes, which crash doesn't know: it splits there at each blank.

    word: of the option; where the quotes go on, its other half is taken out of `arguments`.
    """
    if not word.startswith("'"):
        return word
    if not word[1:].endswith("'"):
        for number, argument in enumerate(arguments):
            if argument.endswith("'"):
                word = f"{word} {arguments.pop(number)}"
                break
    return word[1:-1] if word[1:].endswith("'") else word
