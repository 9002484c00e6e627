# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel log says of failed kmem_cache_destroy() calls, read out of its text.

Knows the wordings of every kernel since 3.10 and both orders in which a slab and its
objects are printed. Knows no memory: whether a report is true, and of which cache it
is, match.py finds out. The text is data: nothing in it raises an exception.

The wordings, by mm/slub.c and mm/slab_common.c (seen in v3.10 to v7.3):

    BUG NAME (TAINT): Objects remaining [in NAME] on kmem_cache_close()|__kmem_cache_shutdown()
    [INFO: ]Slab 0xP objects=N used=N fp=0xP flags=...
    [INFO: ]Object 0xP @offset=N
    [INFO: ]Allocated in SYMBOL age=N cpu=N pid=N       with its stack, where users are stored
    kmem_cache_destroy NAME: Slab cache still has objects[ when called from SYMBOL]

A headline for each slab of a node's partial list. Up to v6.11 the slab's line comes
before its objects, then behind them (seen in v6.12 and v7.3); a headline has one slab, so
the order needn't be known. Full slabs have no line; a cache that has nothing else gets
the last line alone.
"""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from crash_ext.report.text import plural
from crash_ext.why.log.dress import for_each_line


class LoggedTrack(NamedTuple):
    """Who allocated or freed an object, as the log has it."""

    symbol: str
    """function+offset/size [module]"""
    age: int
    """Jiffies before the report."""
    cpu: int
    pid: int
    stack: List[str]
    """Innermost first, as function+offset/size [module]; empty where none was printed."""


class LoggedObject(NamedTuple):
    """An object that was allocated when the report was written."""

    pointer: Optional[int]
    """As printed: an address, or its hash (hashed.py tells); None for (____ptrval____)."""
    offset: int
    """Bytes from the start of its slab's memory."""
    allocated: Optional[LoggedTrack]
    freed: Optional[LoggedTrack]
    """Its free before that."""


class LoggedSlab(NamedTuple):
    """A slab of a report. The numbers and texts are the log's."""

    pointer: Optional[int]
    """Of its struct page or struct slab, as LoggedObject.pointer. None if the line is lost."""
    objects: Optional[int]
    used: Optional[int]
    """Objects in use; None if the slab's line is lost."""
    fp: Optional[int]
    """Its first free object, as LoggedObject.pointer."""
    flags: str
    objects_listed: List[LoggedObject]

    @property
    def complete(self) -> bool:
        """Whether as many objects are listed as the slab's line says."""
        return self.used == len(self.objects_listed)


class Report(NamedTuple):
    """What one failed kmem_cache_destroy() has written into the log."""

    name: str
    when: Optional[float]
    """Seconds since boot, of its first line; None where the log has no times."""
    pid: Optional[int]
    comm: Optional[str]
    cpu: Optional[int]
    caller: Optional[str]
    """What called kmem_cache_destroy(), as function+offset/size [module]."""
    trace: List[str]
    """The call trace from the caller on, unreliable frames left out."""
    slabs: List[LoggedSlab]
    """In the log's order, which is that of the nodes' partial lists."""
    finished: bool
    """Its last line, "Slab cache still has objects", was seen."""
    truncated: bool
    """Its first lines are lost: the log's buffer has been written over."""
    mixed: bool = False
    """A call trace of it is mixed with another task's, and is left out."""
    sure: bool = True
    """It is of the boot that the dump is of (boot.py)."""
    lines: Sequence[str] = ()
    """As they were printed: heads, slabs, objects, the last line, and the first trace."""


def begins_at_boot(text: str) -> bool:
    """Whether the log's first lines are there, so that no older report can be missing."""
    return "Linux version " in text[:4096]


def parse_reports(text: str) -> List[Report]:
    """The reports in a log's text, in its order. For any text whatever."""
    # Where the log says who has printed a line, each is read by itself.
    parsers: Dict[Optional[str], _Parser] = {}
    caller: Optional[str] = None
    printed: List[str] = []
    for number, line in enumerate(for_each_line(text)):
        printed.append(line.body if line.when is None else f"[{line.when:12.6f}] {line.body}")
        # What goes on with a record has no caller of its own.
        caller = line.caller or caller
        parser = parsers.setdefault(caller, _Parser())
        parser.line(number, line.when, line.body)
    found = [report for parser in parsers.values() for report in parser.finish()]
    found.sort(key=lambda report: report.number)
    return [
        report.report()._replace(lines=_quoted([printed[at] for at in report.lines]))
        for report in found
    ]


def _quoted(lines: List[str]) -> List[str]:
    left = len(lines) - _QUOTED
    if left <= 0:
        return lines
    half = _QUOTED // 2
    return [*lines[:half], f"({plural(left, 'line')} left out)", *lines[-half:]]


# "(ptrval)" was padded with spaces at first (in v4.15).
_POINTER = r"0x( *\((?:_*ptrval_*|null)\)|[0-9a-f]{1,16})"
TAINT = r" \((?:Not tainted|Tainted: [^()]*)\)"
# Before v3.4 the taint isn't there.
_HEADLINE = re.compile(
    rf"BUG (.*?)(?:{TAINT})?: (Objects remaining(?: in .*)?"
    r" on (?:__kmem_cache_shutdown|kmem_cache_close)\(\))"
)
# slab_err() formats its message into 100 bytes: a long name takes the sentence's end with it.
_CUT_HEADLINE = re.compile(rf"BUG (.*?){TAINT}: (Objects remaining in .*)")
_CUT = 98
_OTHER_BUG = re.compile(rf"BUG .*{TAINT}: ")
_SLAB = re.compile(
    rf"(?:INFO: )?Slab {_POINTER} objects=(\d{{1,9}}) used=(\d{{1,9}}) fp={_POINTER} flags=(.*)"
)
# Other reports of SLUB have " fp=" behind it.
_OBJECT = re.compile(rf"(?:INFO: )?Object {_POINTER} @offset=(\d{{1,9}})")
_OTHER_OBJECT = re.compile(r"(?:INFO: )?Object 0x\S+ @offset=\d+ fp=.*")
TRACK = re.compile(
    r"(?:INFO: )?(Allocated|Freed) in (.+) age=(\d{1,20}) cpu=(\d{1,9}) pid=(-?\d{1,10})"
)
"""A SLUB track: what happened, in which function, age in jiffies, CPU, PID."""
_LAST = re.compile(
    r"kmem_cache_destroy (.*): Slab cache still has objects(?: when called from (.*))?"
)
_OLD_LAST = re.compile(r"SLUB (.*): kmem_cache_destroy called for cache that still has objects\.")
_TASK = re.compile(
    r"CPU: (\d{1,9}) (?:UID: \d+ )?PID: (\d{1,10}) Comm: (.*?)(?: Kdump: loaded)?"
    r" (?:Not tainted|Tainted: ).*"
)
_WARNING = re.compile(
    r"WARNING: CPU: (\d{1,9}) PID: (\d{1,10}) at (?:\S+ )?kmem_cache_destroy[.+ ].*"
)
_NEW_WARNING = re.compile(
    r"WARNING: \S+ at kmem_cache_destroy[.+]\S+, CPU#(\d{1,9}): (.+)/(\d{1,10})"
)
_OLD_TASK = re.compile(r"Pid: (\d{1,10}), comm: (.*?) (?:Not tainted|Tainted: ).*")
# With build ids on, they stand behind a module's name; arm64 marks frames (P), powerpc
# (unreliable); decode_stacktrace.sh puts the line of the source behind.
_FRAME = re.compile(
    r"\s*(?:\(?\[<?[0-9a-f]+>?\]\)?\s*)*(\? )?\(?"
    r"([\w.$]+\+0x[0-9a-f]+/0x[0-9a-f]+|0x[0-9a-f]{8,16})(?: \[([^\]\s]+)(?: [0-9a-f]+)?\])?\)?"
    r"(?: \((?:unreliable|[A-Z]{1,4})\))?(?: [\w./+-]+\.\w+:\d+)?\)?\s*"
)
# arm32: [<..>] (callee) from [<..>] (caller+0x../0x.. [module]), later without addresses.
_FROM_FRAME = re.compile(
    r"\s*(?:\[<[0-9a-f]+>\] )?\(?[\w.$]+(?:\+0x[0-9a-f]+/0x[0-9a-f]+)?(?: \[[^\]]+\])?\)?"
    r" from (?:\[<[0-9a-f]+>\] )?\(?"
    r"([\w.$]+\+0x[0-9a-f]+/0x[0-9a-f]+|0x[0-9a-f]{8,16})(?: \[([^\]\s]+)(?: [0-9a-f]+)?\])?\)?\s*"
)
# decode_stacktrace.sh: function (file:line) module
_DECODED_FRAME = re.compile(
    r"\s*(\? )?([\w.$]+) \(\S+:(?:\d+|\?)[^()]*(?:\([^()]*\)[^()]*)*\)"
    r"(?: \[?([\w-]+)(?: [0-9a-f]+)?\]?)?\s*"
)
_INLINE = re.compile(r".* \[inline\]\s*")
_SOURCE = re.compile(r" [\w./+-]+\.\w+:\d+$")
_BUILD_ID = re.compile(r"\[(\S+) [0-9a-f]{8,}\]$")
_TRACE_STARTS = re.compile(r"(?:Call [Tt]race|Backtrace):\s*")
_TASK_BEGINS = "<TASK>"
_TRACE_ENDS = re.compile(r"\s*(?:</TASK>|RIP: 00|---\[ end trace|Code: |Last Breaking-Event)")
_DESTROY = re.compile(r"\.?kmem_cache_destroy(?:\.\w+)*(?:\+0x.*)?")
# What a trace may have below kmem_cache_destroy(): the allocator, who prints, and traps.
_BELOW = re.compile(
    r"\.?(?:_*dump_(?:stack|backtrace)|show_(?:stack|trace)|unwind_|print_trailer|_*slab_|object_err"
    r"|list_slab_objects|free_partial|_*kmem_cache_|shutdown_|_*warn|report_bug|fixup_bug"
    r"|handle_bug|bug_handler|.*bug_handler|call_break|brk_handler|do_debug|debug_|exc_|asm_exc_"
    r"|do_(?:error_)?trap|do_invalid|invalid_op|error_entry|el1|program_check|do_break|handle_"
    r"|.*trampoline|ftrace_|klp_|kretprobe|0x)"
)


_NEAR = 10.0
"""Seconds from a report's begin, in which lines of its name belong to it in any case."""
_APART = 12
"""Lines of others that may stand between two of a report: another CPU's are printed at once."""
_QUOTED = 120
"""Most lines of a report that are kept as they are."""
_OWN, _TRACE = 2, 1
"""Lines of a report, by what they are."""


BOTTOM = re.compile(
    r"\.?(?:do_syscall|system_call|entry_SYSCALL|entry_INT80|do_(?:fast_|int80_)?syscall|sysenter_"
    r"|int_ret|__(?:x64|ia32|arm64|s390x?|riscv|se)_sys_|SyS_|sys_|__do_sys_|__sys_|ret_fast_syscall"
    r"|invoke_syscall|el0|do_el0|do_trap_ecall|ret_from_(?:fork|kernel|syscall)|kthread\b|kthread\+"
    r"|kernel_init|start_kernel|x86_64_start|secondary_startup|cpu_startup_entry|syscall_|handle_sys"
    r"|x64_sys_call|ia32_sys_call|compat_sys_|do_SYSENTER|handle_exception|tracesys|sysret_"
    r"|__do_syscall|do_one_initcall|do_init_module|load_module)"
)
"""Where a task has entered the kernel, or begins in it: who called that is none of ours."""


class _Block:
    """A slab's lines, as far as they have been read."""

    def __init__(self, when: Optional[float]) -> None:
        self.when = when
        self.slab = LoggedSlab(None, None, None, None, "", [])
        self.seen_slab = False


class _Task(NamedTuple):
    cpu: Optional[int]
    pid: int
    comm: str


class _Open:
    """A report that more lines may come for."""

    def __init__(self, name: str, number: int, when: Optional[float]) -> None:
        self.name = name
        self.number = number
        """Of its first line in the log."""
        self.lines: List[int] = []
        """The numbers of those to quote."""
        self.when = when
        self.task: Optional[_Task] = None
        """Of a trace that is surely the report's."""
        self.witness: Optional[_Task] = None
        """By the warning's line; comm may be empty."""
        self.mixed: List[_Task] = []
        """Whose traces are mixed: one of them may be the report's."""
        self.was_mixed = False
        self.told: Optional[str] = None
        """The caller that the last line names."""
        self.disputed = False
        """Two traces name different callers."""
        self.trace: List[str] = []
        self.blocks: List[_Block] = []
        self.finished = False
        self.truncated = False
        self.inline_caller = False
        """The last line named a caller that was compiled into another function."""

    def report(self) -> Report:
        cpu, pid, comm = self._who()
        trace = self.trace
        if self.disputed if self.told is None else trace[:1] != [self.told]:
            trace = []
        caller = self.told or (trace[0] if trace else None)
        slabs = [block.slab for block in self.blocks]
        return Report(
            self.name, self.when, pid, comm, cpu, caller, trace, slabs,
            self.finished, self.truncated, self.was_mixed and caller is None,
        )  # fmt: skip

    def _who(self) -> Tuple[Optional[int], Optional[int], Optional[str]]:
        """CPU, pid and comm of the task that called."""
        task, witness = self.task, self.witness
        if witness is not None and (task is None or task.pid != witness.pid):
            known = (each for each in self.mixed if each.pid == witness.pid)
            task = next(known, witness)
        return (None, None, None) if task is None else (task.cpu, task.pid, task.comm or None)


class _Parser:
    """Takes a log line by line."""

    def __init__(self) -> None:
        self._reports: List[_Open] = []
        self._report: Optional[_Open] = None
        """Whose lines may come now."""
        self._block: Optional[_Block] = None
        self._orphan: Optional[_Block] = _Block(None)
        """The lines before any headline: a block whose head is lost. None behind the first."""
        self._track: Optional[LoggedTrack] = None
        """Whose stack is being printed."""
        self._task: Optional[_Task] = None
        self._frames: Optional[List[str]] = None
        """The call trace being printed."""
        self._number = 0
        """Of the line in the log."""
        self._mixed: List[_Task] = []
        """More tasks than one have begun to print: whose the frames are is unknown."""
        self._irq = False
        """The trace has a part of an interrupt before the task's."""
        self._begun = 0
        """How often a task's part has begun in it."""
        self._breaking = False
        """A frame comes that is no trace's: s390x has one behind each."""
        self._open = 0
        """Traces of whatever task that have begun so, and not ended."""
        self._stray = False
        """Frames without a trace came: another task goes on with its own."""
        self._foreign = False
        """Another report of SLUB goes on: its tracks and its slab's line are not ours."""
        self._held = ""
        """A slab's line of that time: whose it is, the next line tells."""

    def line(self, number: int, when: Optional[float], body: str) -> None:
        """Take one line of the log, without its dress. number: its place there."""
        self._number = number
        taken = self._take(when, body)
        report = self._report
        if report is None or not taken:
            return
        # Traces are alike, and long behind a report comes what isn't its.
        first = len(report.blocks) < 2 and number - max(report.lines[-1:], default=number) <= _APART
        if taken == _OWN or first:
            report.lines.append(number)

    def _take(self, when: Optional[float], body: str) -> int:
        """Take a line; _OWN if only a report has such a one, _TRACE if a trace does, else 0."""
        if self._frame(body):
            frame = frame_of(body)
            return _TRACE if frame is not None and frame.reliable else 0
        # Further lines of a record are indented.
        body = body.strip()
        held, self._held = self._held, ""
        if _OTHER_OBJECT.fullmatch(body) or body.startswith("FIX "):
            self._foreign = False
        elif held:
            self._take_slab(held)
        track, self._track = self._track, None
        if self._head(body, when) or self._slab_line(body) or self._object(body, when):
            return _OWN
        if self._task_or_trace(body):
            return _TRACE
        # A track's stack ends with the next line of a report, not with a stranger's.
        self._track = track
        return 0

    def finish(self) -> List[_Open]:
        """No more lines: the reports."""
        self._end_trace()
        return self._reports

    # heads and last lines -------------------------------------------------------------

    def _head(self, body: str, when: Optional[float]) -> bool:
        head = _HEADLINE.fullmatch(body)
        if head is None:
            head = _CUT_HEADLINE.fullmatch(body)
            if head is not None and len(head.group(2)) < _CUT:
                head = None
        if head:
            self._foreign = False
            self._begin(head.group(1), when)
            self._block = _Block(when)
            if self._report is not None:
                self._report.blocks.append(self._block)
            return True
        last = _LAST.fullmatch(body)
        old = None if last else _OLD_LAST.fullmatch(body)
        if last or old:
            name, caller = last.groups() if last else (str(old and old.group(1)), None)
            self._last_line(name, caller, when)
            return True
        if _OTHER_BUG.match(body):
            # Another CPU's, perhaps in between: what is ours may still come.
            self._end_section()
            self._foreign = True
            self._orphan = None
            if self._report is not None and self._report.finished:
                self._report = self._block = None
            return True
        return False

    def _last_line(self, name: str, caller: Optional[str], when: Optional[float]) -> None:
        """A report ends; decode_stacktrace.sh has a line for an inlined caller, too."""
        report = self._report
        again = (
            report is not None and report.name == name and report.finished and report.inline_caller
        )
        if not again:
            self._begin(name, when)
        self._block = None
        self._foreign = False
        report = self._report
        if report is None:
            return
        report.finished = True
        report.inline_caller = caller is not None and _INLINE.fullmatch(caller) is not None
        if caller is not None and not report.inline_caller:
            report.told = _as_frame(caller)

    def _begin(self, name: str, when: Optional[float]) -> None:
        """Lines of the report on that name come now: of the open one, or of a new one."""
        self._end_section()
        report = self._report
        if report is None or report.finished or report.name != name:
            report = self._waiting(name, when)
        if report is None:
            report = self._report = _Open(name, self._number, when)
            self._reports.append(report)
            if self._orphan is not None and self._orphan.slab.objects_listed:
                report.blocks.append(self._orphan)
                report.truncated = True
                report.when = self._orphan.when
        self._report = report
        self._orphan = None

    def _waiting(self, name: str, when: Optional[float]) -> Optional[_Open]:
        """An open report of that name, where another cache's came in between."""
        for report in reversed(self._reports):
            if report.name == name:
                near = when is None or report.when is None or 0 <= when - report.when <= _NEAR
                return report if near and not report.finished else None
        return None

    # slabs and objects ----------------------------------------------------------------

    def _slab_line(self, body: str) -> bool:
        if not _SLAB.fullmatch(body):
            return False
        self._end_section()
        if self._foreign:
            # The other report's has an object right behind it.
            self._held = body
        else:
            self._take_slab(body)
        return True

    def _take_slab(self, body: str) -> None:
        found = _SLAB.fullmatch(body)
        block = self._block or self._orphan
        if found is not None and block is not None and not block.seen_slab:
            pointer, objects, used, fp, flags = found.groups()
            block.seen_slab = True
            block.slab = LoggedSlab(
                _pointer(pointer), int(objects), int(used), _pointer(fp), flags,
                block.slab.objects_listed,
            )  # fmt: skip

    def _object(self, body: str, when: Optional[float]) -> bool:
        listed = _OBJECT.fullmatch(body)
        if listed:
            self._end_section()
            block = self._block or self._orphan
            if block is not None:
                if block.when is None:
                    block.when = when
                used = block.slab.used
                if self._foreign and used is not None and len(block.slab.objects_listed) >= used:
                    return True
                found = LoggedObject(_pointer(listed.group(1)), int(listed.group(2)), None, None)
                block.slab.objects_listed.append(found)
            return True
        told = TRACK.fullmatch(body)
        if told:
            self._end_section()
            self._tell_track(told.group(1), told.groups()[1:])
            return True
        return False

    def _tell_track(self, what: str, words: Tuple[str, ...]) -> None:
        block = self._block or self._orphan
        symbol, age, cpu, pid = words
        # Its frames are behind it, whosever it is.
        track = self._track = LoggedTrack(symbol, int(age), int(cpu), int(pid), [])
        if self._foreign or block is None or not block.slab.objects_listed:
            return
        last = block.slab.objects_listed[-1]
        if what == "Allocated" and last.allocated is None:
            last = last._replace(allocated=track)
        elif what == "Freed" and last.freed is None:
            last = last._replace(freed=track)
        else:
            return
        block.slab.objects_listed[-1] = last

    # tasks and traces -----------------------------------------------------------------

    def _frame(self, body: str) -> bool:
        # Some architectures print frames without a line before them: behind the task's line.
        starts = self._frames is None and self._track is None and self._task is not None
        frame = frame_of(body)
        if frame is None:
            return self._frames is not None and _INLINE.fullmatch(body) is not None
        if self._track is None and self._frames is None and not starts:
            if frame.reliable and self._report is not None and not self._breaking:
                self._stray = BOTTOM.match(frame.text) is None
            self._breaking = False
            return False
        if starts:
            self._frames = []
        if frame.reliable:
            if self._track is not None:
                self._track.stack.append(frame.text)
            elif self._frames is not None:
                self._frames.append(frame.text)
        return True

    def _task_or_trace(self, body: str) -> bool:
        task = _task_of(body)
        if task is not None:
            self._begin_task(task)
        elif _TRACE_STARTS.fullmatch(body):
            self._begin_trace()
        elif body == _TASK_BEGINS:
            self._begun += 1
            self._open += 1
            if self._begun > 1 or (self._frames and not self._irq):
                # A trace's first frame is behind it: what follows is another's.
                self._mixed = self._mixed or [self._task or _NOBODY]
        elif body == "<IRQ>":
            self._irq = True
        elif _TRACE_ENDS.match(body):
            self._stray = False
            self._breaking = body.startswith("Last Breaking-Event")
            self._open -= self._open > 0 and body == "</TASK>"
            if self._frames:
                self._end_trace()
        else:
            return self._warning(body)
        return True

    def _begin_task(self, task: _Task) -> None:
        before = self._task
        if self._frames is not None:
            whole = _is_whole(self._frames)
            self._end_trace()
            if not whole and before is not None and before.pid != task.pid:
                self._mixed = [before]
        elif before is not None and before.pid != task.pid:
            # Two tasks' lines in a row: their frames will be mixed.
            self._mixed.append(before)
        if self._mixed or self._stray:
            self._mixed.append(task)
        self._task = task

    def _begin_trace(self) -> None:
        if self._frames is not None:
            # A second trace in the first: by whom, no line says.
            mixed = [] if _is_whole(self._frames) else [self._task or _NOBODY]
            if self._frames:
                self._end_trace()
            self._mixed = self._mixed or mixed
        self._frames = []

    def _warning(self, body: str) -> bool:
        """The line of a warning says who called, whatever stands between."""
        old, new = _WARNING.fullmatch(body), _NEW_WARNING.fullmatch(body)
        report = self._report
        if report is not None and report.finished and report.witness is None:
            if old:
                report.witness = _Task(int(old.group(1)), int(old.group(2)), "")
            elif new:
                report.witness = _Task(int(new.group(1)), int(new.group(3)), new.group(2))
        return bool(old or new)

    def _end_section(self) -> None:
        """A line of a report comes: a trace before it is over, and what was mixed with it."""
        if self._frames is None and self._mixed:
            self._frames = []
        self._end_trace()
        # What goes on behind a line of ours may go on in its next trace.
        self._stray = self._stray or (bool(self._mixed) and self._open > 0)
        self._mixed = []
        self._open = 0

    def _end_trace(self) -> None:
        """The trace is over: is it of the open report, and what does it tell?

        A trace belongs to it only if it passes through kmem_cache_destroy(), or starts
        where the report's last line says that it was called.
        """
        frames, self._frames = self._frames, None
        task, report = self._task, self._report
        self._irq = False
        self._begun = 0
        mixed = self._mixed
        if frames is None:
            return
        self._task = None
        if report is None:
            return
        if mixed or _is_mixed(frames):
            report.mixed += mixed or ([task] if task is not None else [])
            report.was_mixed = True
            return
        trace = _above_destroy(frames)
        if trace is None and frames and frames[0] == report.told:
            trace = _to_the_bottom(frames)
        if trace is None:
            return
        other = report.task is not None and task is not None and task.pid != report.task.pid
        if other:
            report = self._split(report)
        if report.trace and trace and trace[0] != report.trace[0]:
            # The two can't be of one call, unless one is mixed: which, only the last line tells.
            report.was_mixed = True
            report.disputed = True
        if trace and trace[0] == report.told:
            report.task, report.trace = task or report.task, trace
            return
        report.task = report.task or task
        report.trace = report.trace or trace

    def _split(self, report: _Open) -> _Open:
        """Another task's trace: the block, or the last line, is of a destroy of its own."""
        if self._block is None or len(report.blocks) < 2:
            return report
        block = report.blocks.pop()
        own = self._report = _Open(report.name, self._number, block.when)
        own.blocks.append(block)
        self._reports.append(own)
        return own


_NOBODY = _Task(None, 0, "")


class Frame(NamedTuple):
    """A line of a call trace."""

    reliable: bool
    text: str
    """function+offset/size [module]"""


def frame_of(body: str) -> Optional[Frame]:
    """A line of a call trace; None for any other."""
    found = _FRAME.fullmatch(body) or _DECODED_FRAME.fullmatch(body)
    if found:
        # s390x has parentheses around those that are no frames of their own.
        reliable = not found.group(1) and not body.lstrip().startswith("([<")
        symbol, module = found.group(2), found.group(3)
    else:
        found = _FROM_FRAME.fullmatch(body)
        if not found:
            return None
        reliable, symbol, module = True, found.group(1), found.group(2)
    return Frame(reliable, f"{symbol} [{module}]" if module else symbol)


def _as_frame(caller: str) -> str:
    """What a report's last line says of its caller, as a frame says it."""
    decoded = _DECODED_FRAME.fullmatch(caller)
    frame = frame_of(caller) if decoded else None
    return frame.text if frame else _BUILD_ID.sub(r"[\1]", _SOURCE.sub("", caller))


def _task_of(body: str) -> Optional[_Task]:
    task = _TASK.fullmatch(body)
    if task:
        return _Task(int(task.group(1)), int(task.group(2)), task.group(3))
    old = _OLD_TASK.fullmatch(body)
    return _Task(None, int(old.group(1)), old.group(2)) if old else None


def _is_whole(frames: List[str]) -> bool:
    """Whether a trace has come to where a task or the kernel begins."""
    return bool(frames) and any(map(BOTTOM.match, frames[-2:]))


def _is_mixed(frames: List[str]) -> bool:
    """Whether another task's frames are among those below kmem_cache_destroy()."""
    at = [number for number, frame in enumerate(frames) if _DESTROY.fullmatch(frame)]
    below = [_BELOW.match(frame) is not None for frame in frames[: at[-1]]] if at else []
    return False in below and True in below


def _above_destroy(frames: List[str]) -> Optional[List[str]]:
    """The frames that lead to kmem_cache_destroy(); None if it isn't in the trace."""
    at = [number for number, frame in enumerate(frames) if _DESTROY.fullmatch(frame)]
    return _to_the_bottom(frames[at[-1] + 1 :]) if at else None


def _to_the_bottom(frames: List[str]) -> List[str]:
    """The frames up to where a task begins: what comes behind that is of another one."""
    bottom = [BOTTOM.match(frame) is not None for frame in frames]
    if True in bottom:
        first = bottom.index(True)
        if False in bottom[first:]:
            return frames[: bottom.index(False, first)]
    return frames


def _pointer(text: str) -> Optional[int]:
    """A pointer as %p printed it: None for one that was printed before it could be hashed."""
    if "ptrval" in text:
        return None
    return 0 if "null" in text else int(text, 16)
