# SPDX-License-Identifier: GPL-3.0-or-later
"""The program `slableak`: opens a dump, or the running kernel, with drgn and runs commands.

Exit status 0: complete; 1: incomplete, or the dump can't be opened; 2: wrong usage.
"""

from __future__ import annotations

import getopt
import logging
import os
import sys
from typing import TYPE_CHECKING, List, Optional, Tuple

from crash_ext import command as common
from crash_ext.command import COMPLETE, INCOMPLETE, USAGE
from crash_ext.commands import COMMANDS, no_such_command
from crash_ext.version import TOOL_VERSION

if TYPE_CHECKING:
    import drgn

_USAGE = """\
Usage:
  slableak [-s FILE]... VMCORE COMMAND [ARGUMENT]... [--then ...]...
  slableak [-s FILE]... -k COMMAND [ARGUMENT]... [--then ...]...
  slableak COMMAND -h
"""
_HELP = """
Opens a kernel's dump or the running kernel with drgn, and runs commands on it.

  VMCORE   the dump
  -k       the running kernel (needs root)
  -s FILE  the kernel's vmlinux with its debug information, or a module's file;
           without it vmlinux is looked for where drgn looks for it
  --then   what follows is the next command on the same dump
  -h, -V   this text; the version

Commands:
"""
_STATUS = """
Exit status: 0 complete, 1 incomplete, 2 wrong usage.
"""
_VOICE = common.Voice("$ slableak VMCORE ", 'Enter "slableak {} -h" for details.')

_FLATTENED = b"makedumpfile\0"
_QEMU = b"KDUMP   "
_MACHINE_AT = 12 + 4 * 65
"""Of the kdump header's utsname.machine: behind signature, version and four names."""


class OpenError(Exception):
    """The dump can't be opened, or not be understood; the text says why."""


def main(arguments: Optional[List[str]] = None) -> int:
    """The exit status of the program with these arguments (default: the process')."""
    common.speak(_VOICE)
    try:
        status = _main(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("slableak: interrupted\n")
        return INCOMPLETE
    except BrokenPipeError:
        # `| head`: Python would complain once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INCOMPLETE
    return status


def _main(arguments: List[str]) -> int:
    try:
        pairs, rest = getopt.getopt(arguments, "ks:hV", ["help", "version"])
    except getopt.GetoptError as error:
        return _refuse(str(error))
    options = [name for name, _ in pairs]
    if "-h" in options or "--help" in options:
        listed = "".join(f"  {each.name:10}{each.short}\n" for each in COMMANDS.values())
        sys.stdout.write(f"{_USAGE}{_HELP}{listed}{_STATUS}")
        return COMPLETE
    if "-V" in options or "--version" in options:
        sys.stdout.write(f"slableak {TOOL_VERSION}\n")
        return COMPLETE
    live = "-k" in options
    if rest and rest[0] in COMMANDS and not live:
        if {"-h", "--help", "-V", "--version"} & set(rest[1:]):
            return common.run(COMMANDS[rest[0]], rest[1:])
        return _refuse(f"{rest[0]}: on which dump?")
    vmcore = "" if live else (rest or [""])[0]
    if not (live or vmcore):
        return _refuse("no dump given")
    calls = _split(rest if live else rest[1:])
    for words in calls:
        if not words:
            return _refuse("no command given")
        if words[0] not in COMMANDS:
            return _refuse(no_such_command(words[0]))
    try:
        program = open_program(vmcore, [value for name, value in pairs if name == "-s"])
    except OpenError as error:
        sys.stderr.write(f"slableak: {error}\n")
        return INCOMPLETE
    from crash_ext.drgncommands import run_words

    return max(run_words(program, words) for words in calls)


def _refuse(text: str) -> int:
    sys.stderr.write(f"slableak: {text}\n{_USAGE}")
    return USAGE


def _split(words: List[str]) -> List[List[str]]:
    """The command lines that --then parts."""
    lines: List[List[str]] = [[]]
    for word in words:
        if word == "--then":
            lines.append([])
        else:
            lines[-1].append(word)
    return lines


def open_program(vmcore: str, debug_files: List[str]) -> drgn.Program:
    """A dump, or the running kernel for an empty path, with debug information.

    debug_files: vmlinux, modules. Raises OpenError.
    """
    try:
        import drgn
    except ImportError as error:
        raise OpenError(f"drgn is needed for this: pip install drgn ({error})") from error
    try:
        if vmcore:
            program = _open_dump(vmcore)
        else:
            program = drgn.Program()
            program.set_kernel()
    except PermissionError as error:
        raise OpenError(f"{error}: try it as root") from error
    except Exception as error:
        # drgn has plain Exception, too, for what has no class of its own.
        raise OpenError(_why_not(vmcore, error)) from error
    if not program.flags & drgn.ProgramFlags.IS_LINUX_KERNEL:
        raise OpenError(f"{vmcore}: no dump of a Linux kernel")
    _load_debug_information(program, debug_files)
    return program


def _open_dump(vmcore: str) -> drgn.Program:
    """The program of a dump, without debug information. Raises what drgn does, ValueError."""
    import drgn

    program = drgn.Program()
    try:
        program.set_core_dump(vmcore)
    except Exception:
        # QEMU's own don't tell libkdumpfile their machine; their header names it.
        if not _first_bytes(vmcore).startswith(_QEMU):
            raise
    else:
        if program.platform is not None:
            return program
    program = drgn.Program(_platform_of(vmcore))
    program.set_core_dump(vmcore)
    return program


def _load_debug_information(program: drgn.Program, files: List[str]) -> None:
    """Raises OpenError where the kernel's isn't found; files of no use are told."""
    import drgn

    for file in files:
        if not os.access(file, os.R_OK):
            raise OpenError(f"{file}: can't be read")
    said = _Said()
    logger = logging.getLogger("drgn")
    logger.addHandler(said)
    logger.propagate = False
    try:
        program.load_debug_info(files, main=True)
    except (OSError, ValueError, LookupError, drgn.FaultError, drgn.MissingDebugInfoError) as error:
        said.lines.append(str(error).partition("\n")[0])
    finally:
        # What it says later of modules in damaged memory our commands say in their own words.
        logger.removeHandler(said)
        logger.addHandler(logging.NullHandler())
    try:
        known = program.type("struct list_head").is_complete()
    except LookupError:
        known = False
    if not known:
        raise OpenError(_no_debug_information(program, files))
    for line in said.lines:
        if any(file in line for file in files):
            sys.stderr.write(f"slableak: {line}\n")


class _Said(logging.Handler):
    """What drgn says while it looks for debug information."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: List[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage().partition("\n")[0])


def _no_debug_information(program: drgn.Program, files: List[str]) -> str:
    try:
        release = program["UTS_RELEASE"].string_().decode(errors="replace")
        kernel = f"kernel {release}"
    except LookupError:
        kernel = "the kernel"
    if files:
        return f"no debug information of {kernel} in {' '.join(files)}"
    return f"no debug information of {kernel} found: give its vmlinux with -s FILE"


def _why_not(vmcore: str, error: Exception) -> str:
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename or vmcore}: {error.strerror}"
    if vmcore and vmcore not in text:
        text = f"{vmcore}: {text}"
    if _first_bytes(vmcore).startswith(_FLATTENED):
        text = f"{vmcore}: a flattened dump: makedumpfile -R NEW <{vmcore} makes one of it"
    return text


def _first_bytes(path: str) -> bytes:
    if not path:
        return b""
    try:
        with open(path, "rb") as file:
            return file.read(4096)
    except OSError:
        return b""


def _platform_of(vmcore: str) -> drgn.Platform:
    """The machine that a kdump header names, which QEMU's lack elsewhere. Raises ValueError."""
    import drgn

    data = _first_bytes(vmcore)
    machine = data[_MACHINE_AT : _MACHINE_AT + 65].partition(b"\0")[0].decode(errors="replace")
    names = {"x86_64": "X86_64", "aarch64": "AARCH64", "s390x": "S390X", "ppc64le": "PPC64"}
    if not data.startswith(_QEMU) or machine not in names:
        raise ValueError("doesn't say which machine it is of")
    return drgn.Platform(*_platform(names[machine], machine != "s390x"))


def _platform(name: str, little: bool) -> Tuple[drgn.Architecture, drgn.PlatformFlags]:
    import drgn

    flags = drgn.PlatformFlags.IS_64_BIT
    if little:
        flags |= drgn.PlatformFlags.IS_LITTLE_ENDIAN
    return drgn.Architecture[name], flags


if __name__ == "__main__":
    sys.exit(main())
