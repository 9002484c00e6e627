# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands where drgn is the host: in its shell as %slabdup and so on, or from a script."""

from __future__ import annotations

import sys
from typing import Any, List, Sequence, Tuple

import drgn

from crash_ext import command as common
from crash_ext.command import INCOMPLETE, USAGE, Command
from crash_ext.commands import COMMANDS, no_such_command
from crash_ext.host.drgnhost import DrgnHost, HostError
from crash_ext.host.target import give_host

_SHELL = common.Voice(">>> %", 'Enter "%{} -h" for details.')
_SCRIPT = common.Voice(
    "$ drgn -c VMCORE slableak.py ", 'Enter "drgn -k slableak.py {} -h" for details.'
)

_hosts: List[Tuple[drgn.Program, DrgnHost]] = []
"""The last program that was asked, and its host: what is known of it stays."""


def run_script(program: object, words: Sequence[str]) -> int:
    """The same where drgn runs slableak.py."""
    common.speak(_SCRIPT)
    return run_words(program, words)


def run_words(program: object, words: Sequence[str]) -> int:
    """Runs a command by its name and arguments: its status."""
    command = COMMANDS.get(words[0])
    if command is None:
        sys.stderr.write(f"slableak: {no_such_command(words[0])}\n")
        return USAGE
    assert isinstance(program, drgn.Program)
    return run_on(program, command, list(words[1:]))


def run_on(program: drgn.Program, command: Command, arguments: List[str]) -> int:
    """Runs a command on a program: its status. Returns in every case."""
    try:
        give_host(_host_of(program))
    except HostError as error:
        sys.stderr.write(f"{command.name}: {error}\n")
        return INCOMPLETE
    return common.run(command, arguments)


def _host_of(program: drgn.Program) -> DrgnHost:
    """Raises HostError."""
    if not program.flags & drgn.ProgramFlags.IS_LINUX_KERNEL:
        raise HostError("no Linux kernel")
    for known, host in _hosts:
        if known is program:
            return host
    _hosts[:] = [(program, DrgnHost(program))]
    return _hosts[0][1]


def offer() -> None:
    """drgn's shell gets the commands."""
    from drgn.commands import DEFAULT_COMMAND_NAMESPACE

    for command in COMMANDS.values():
        DEFAULT_COMMAND_NAMESPACE.register(command.name, ShellCommand(command))


class ShellCommand:
    """A command in drgn's shell, which does redirections and pipes."""

    def __init__(self, command: Command) -> None:
        self._command = command

    def description(self) -> str:
        """One line, as drgn's list of commands has it."""
        return self._command.short

    def format_usage(self) -> str:
        """The command with its arguments."""
        return f"{self._command.name} {self._command.synopsis}"

    def format_help(self, *, indent: str = "") -> str:
        """The help page."""
        common.speak(_SHELL)
        page = common.help_page(self._command)
        return "".join(f"{indent}{line}".rstrip() + "\n" for line in page.splitlines()).rstrip()

    def enabled(self, program: drgn.Program) -> bool:
        """For kernels only."""
        return bool(program.flags & drgn.ProgramFlags.IS_LINUX_KERNEL)

    def parse(self, source: str) -> Any:
        """The words, and what drgn redirects. A backslash stays: \\NAME is ours."""
        from drgn.commands import ParsedCommand, parse_shell_command, unquote_shell_word

        parsed = parse_shell_command(source, unquote=False)
        words = [
            word if word.startswith("\\") else unquote_shell_word(word) for word in parsed.args
        ]
        return ParsedCommand(words, parsed.redirections, parsed.pipeline)

    def run(self, program: drgn.Program, name: str, words: Sequence[str], **rest: Any) -> None:
        """Runs it; what it couldn't do it has said."""
        del name, rest
        # Only now: drgn offers plugins their place whoever has opened the program.
        common.speak(_SHELL)
        run_on(program, self._command, list(words))
