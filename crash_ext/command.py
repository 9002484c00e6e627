# SPDX-License-Identifier: GPL-3.0-or-later
"""What every command has in common: options, help, errors, the session's allocator.

A command's file hands run() its Command. Exceptions that a user can cause end here, as one
line on sys.stderr. What a command finds goes to its Output.
"""

from __future__ import annotations

import getopt
import sys
from typing import Callable, Dict, List, NamedTuple, Optional, Set, Tuple

from crash_ext.contents.filters import Filter, FilterError, parse
from crash_ext.files import check_writable, read_text, stdout_to
from crash_ext.host.settings import is_live, memory_source, zero_excluded_on
from crash_ext.host.structs import take_quoted
from crash_ext.host.target import ByteOrder, Target, host_module
from crash_ext.kernel.identity import Identity, identity
from crash_ext.leak.duplicates import all_caches
from crash_ext.leak.select import Selection, SelectionError, select
from crash_ext.output import Output
from crash_ext.places.places import Places
from crash_ext.reach.reach import Reach
from crash_ext.report.jsonl import Encoder, encoder
from crash_ext.report.progress import Progress
from crash_ext.report.text import visible
from crash_ext.slub.caches import node_count
from crash_ext.slub.layout import UnsupportedAllocator
from crash_ext.slub.model import Cache
from crash_ext.slub.session import Session
from crash_ext.version import TOOL_VERSION
from crash_ext.view.source import source_fields

Options = Dict[str, str]

LETTERS = {
    "a": "all caches",
    "b": "dump BYTES bytes",
    "e": "explain",
    "f": "free objects",
    "F": "fast",
    "g": "groups of like objects",
    "h": "this page",
    "j": "JSON lines",
    "l": "at most COUNT",
    "L": "the kernel log from a file",
    "n": "slabs of this NUMA node",
    "o": "write to FILE",
    "p": "walk the lists only",
    "q": "addresses only",
    "r": "below each object, the pointers to it",
    "R": "anew",
    "t": "as this structure",
    "T": "look for structures",
    "V": "the version",
    "w": "that fit FILTER",
}
"""What a letter means, in each command that has it: its line of help says these words."""

_QUOTED = ("-t", "-w")
"""Options whose value may have blanks, in quotes."""

COMMON = "hV"
"""The letters that every command has."""


class Command(NamedTuple):
    """A command: what crash shows of it, and what runs it."""

    name: str
    short: str
    """One line, as `help` lists it."""
    synopsis: str
    """The arguments, as in a usage message."""
    text: str
    """The help page from DESCRIPTION on; a line starts with two spaces."""
    options: str
    """As for getopt: letters, a colon behind those that take a value."""
    main: Callable[[Call], Dict[str, object]]
    """Does it; what it counted is for the last JSON record."""


class Voice(NamedTuple):
    """How the pages speak of the place where commands are typed."""

    prompt: str
    """What stands before a command in the examples."""
    details: str
    """Where the help page is, at the end of a usage message; {}: the command's name."""
    load: str = "-s FILE"
    """In the examples: how the debug information of their module is loaded; as on drgn."""


_LOAD = "mod -s slabtest FILE"
_voice = [Voice("crash> ", 'Enter "help {}" for details.', _LOAD)]


def speak(voice: Voice) -> None:
    """From now on the pages speak of another place than crash."""
    _voice[:] = [voice]


class UsageError(Exception):
    """The command line can't be taken; the text says why."""


class Call:
    """What was typed, and what it is asked of."""

    def __init__(
        self, session: Session, options: Options, arguments: List[str], out: Output, line: str
    ) -> None:
        """line: all of it, as the user has typed it."""
        self.line = line
        self.session = session
        self.options = options
        self.arguments = arguments
        self.out = out
        self.lists_only = "-p" in options
        self._caches: Optional[List[Cache]] = None

    def caches(self) -> List[Cache]:
        """Every cache, the unlisted too; what is wrong with the lists is reported once."""
        if self._caches is None:
            problems: List[str] = []
            self._caches = all_caches(self.session, problems, self.lists_only)
            for problem in problems:
                self.out.error(problem)
        return self._caches

    def selections(self) -> List[Selection]:
        """What the arguments stand for; an error line for those that stand for nothing."""
        chosen: List[Selection] = []
        whole: Set[int] = set()
        for argument in self.arguments:
            try:
                found = select(self.session, self.caches(), argument)
            except SelectionError as error:
                self.out.error(str(error))
                continue
            for selection in found:
                address = selection.cache.address
                # A cache that is named twice is shown once.
                if selection.slab is not None or address not in whole:
                    chosen.append(selection)
                if selection.slab is None:
                    whole.add(address)
        return chosen

    def reach(self, places: Places) -> Reach:
        """What leads to each object of the kernel: worked out once a session."""
        session = self.session
        return session.keep(Reach, lambda: Reach(session, self.caches(), places, session.progress))

    def source(self) -> Identity:
        """Which dump this is."""
        return _source(self.session, host_module())

    def number(self, option: str) -> Optional[int]:
        """The value of an option as a decimal number; None where it isn't given.

        Raises UsageError.
        """
        text = self.options.get(option)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit()):
            raise UsageError(f"{option}: not a decimal number: {text}")
        return int(text)

    def filter(self) -> Optional[Filter]:
        """What -w asks; None without it. Raises UsageError."""
        text = self.options.get("-w")
        if text is None:
            return None
        try:
            found = parse(text, self.session.reader.word)
        except FilterError as error:
            raise UsageError(f"-w: {error}") from error
        nodes = node_count(self.session)
        for node in found.nodes:
            if node >= nodes:
                raise UsageError(f"-w: no node {node}: the nodes are 0 to {nodes - 1}")
        return found

    def text_file(self, option: str) -> Optional[str]:
        """What is in the file that an option names; None without the option.

        Raises UsageError.
        """
        name = self.options.get(option)
        try:
            return None if name is None else read_text(name)
        except OSError as error:
            raise UsageError(f"{name}: {error.strerror}") from error

    def page_file(self) -> Optional[str]:
        """The file that -o names for a page; None without -o, and where -q or -j goes there."""
        return None if records_file(self.options) else _new_file(self.options)


def records_file(options: Options) -> Optional[str]:
    """The file that takes the addresses of -q or the records of -j; None: they are shown.

    Raises UsageError where it can't be written.
    """
    return None if {"-q", "-j"}.isdisjoint(options) else _new_file(options)


def _new_file(options: Options) -> Optional[str]:
    name = options.get("-o")
    try:
        if name is not None:
            check_writable(name)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from error
    return name


_sessions: List[Tuple[object, Session]] = []
"""The host's module and its session: one for as long as crash runs."""


def session_of(crash: object, byteorder: Optional[ByteOrder] = None) -> Session:
    """This crash session's: kept, with its page scan, as long as crash runs."""
    for module, session in _sessions:
        if module is crash:
            return session
    session = Session(Target(crash, byteorder))
    session.live = is_live(crash)
    _sessions[:] = [(crash, session)]
    return session


COMPLETE, INCOMPLETE, USAGE = 0, 1, 2
"""Exit statuses, for hosts that have one: complete, incomplete, nothing was done."""


def run(command: Command, argv: List[str]) -> int:
    """Run a command with its arguments (without its name): its status. Returns in every case."""
    try:
        try:
            return COMPLETE if _run(command, argv) else INCOMPLETE
        finally:
            sys.stdout.flush()
    except UsageError as error:
        _complain(command, f"{error}\n{usage(command)}")
        return USAGE
    except UnsupportedAllocator as error:
        _complain(command, str(error))
    except KeyboardInterrupt:
        _complain(command, "interrupted: the output is incomplete")
    except BrokenPipeError:
        # `| head`: its reader has seen enough.
        pass
    return INCOMPLETE


def _complain(command: Command, text: str) -> None:
    sys.stderr.write(f"{command.name}: {text}\n")
    sys.stderr.flush()


def _run(command: Command, argv: List[str]) -> bool:
    """Whether the output is complete."""
    try:
        pairs, arguments = getopt.gnu_getopt(argv, command.options + COMMON, ["help", "version"])
    except getopt.GetoptError as error:
        raise UsageError(str(error)) from error
    options = dict(pairs)
    if "-h" in options or "--help" in options:
        sys.stdout.write(help_page(command))
        return True
    if "-V" in options or "--version" in options:
        sys.stdout.write(f"{command.name} {TOOL_VERSION}\n")
        return True
    for option in options:
        # In the order in which they were typed: so each finds its own other half.
        if option in _QUOTED:
            options[option] = take_quoted(options[option], arguments)
    name = records_file(options)
    if name is None:
        return _answer(command, options, arguments, argv)
    # PyKdump's banners, once another program has had them made, stand in what crash redirects.
    try:
        with stdout_to(name):
            complete = _answer(command, options, arguments, argv)
    except BrokenPipeError:
        raise
    except OSError as error:
        _complain(command, f"{name}: {error.strerror}")
        return False
    sys.stdout.write(f"written: {visible(name)}\n")
    return complete


def _answer(command: Command, options: Options, arguments: List[str], argv: List[str]) -> bool:
    """The same, with what it writes on sys.stdout. argv: all of these, as they were typed."""
    crash = host_module()
    session = session_of(crash)
    if "-R" in options or session.live:
        # The page scan of a moment ago is no answer on a running system.
        session.forget()
    session.forget_caches()
    with Progress(command.name) as progress:
        session.progress = progress.tell
        encode = _encoder(options)
        source = None if encode is None else source_fields(_source(session, crash))
        if source is not None and "-w" in options:
            source["filter"] = visible(options["-w"])
        out = Output(command.name, encode, "-q" in options, source)
        call = Call(session, options, arguments, out, " ".join([command.name, *argv]))
        if zero_excluded_on(crash):
            out.error("zero_excluded is on: what isn't in the dump reads as zeroes; set it off")
        try:
            fields = command.main(call)
            for problem in session.take_problems():
                out.error(problem)
        except KeyboardInterrupt:
            out.end({}, "interrupted")
            raise
        out.end(fields)
    return out.complete


def _source(session: Session, crash: object) -> Identity:
    return session.keep(Identity, lambda: identity(session.reader, memory_source(crash) or None))


def _encoder(options: Options) -> Optional[Encoder]:
    if "-j" not in options:
        return None
    encode = encoder()
    if encode is None:
        raise UsageError("-j: this Python has no json module")
    return encode


def usage(command: Command) -> str:
    """The usage message in crash's form."""
    details = _voice[0].details.format(command.name)
    return f"Usage:\n  {command.name} {command.synopsis}\n{details}"


def help_page(command: Command) -> str:
    """The help page in crash's form, as `help NAME` prints it."""
    text = command.text.replace("\n    crash> ", f"\n    {_voice[0].prompt}")
    text = text.replace(_LOAD, _voice[0].load)
    return (
        f"\nNAME\n  {command.name} - {command.short}\n"
        f"\nSYNOPSIS\n  {command.name} {command.synopsis}\n"
        f"\nDESCRIPTION\n{text}\n"
    )
