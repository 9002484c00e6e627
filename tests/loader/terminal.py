# SPDX-License-Identifier: GPL-3.0-or-later
"""crash on a terminal: what it shows there, and what keys do."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import time
from typing import Mapping, Sequence

PROMPT = r"crash> $"
CTRL_C = "\x03"


class Terminal:
    """A program on a pseudo terminal. Use as a context manager: leaving it ends the program."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], cwd: str) -> None:
        self._text = ""
        self._pid, self._fd = pty.fork()
        if not self._pid:
            try:
                # Who runs the tests in the background has its children ignore the key.
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                os.chdir(cwd)
                os.execvpe(command[0], list(command), dict(environment))
            finally:
                os._exit(127)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exception: object) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._fd)

    def wait_for(self, pattern: str, seconds: float = 60) -> str:
        """Everything shown up to the end of the first match. AssertionError if none comes."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self._text)):
            left = end - time.monotonic()
            assert left > 0, f"no {pattern!r} in {seconds} s; shown: {self._text[-2000:]!r}"
            self._read(left)
        shown, self._text = self._text[: found.end()], self._text[found.end() :]
        return shown

    def _read(self, seconds: float) -> None:
        """What is shown next, if it comes in time."""
        if select.select([self._fd], [], [], seconds)[0]:
            try:
                data = os.read(self._fd, 65536)
            except OSError:  # how Linux says that the other end is gone
                data = b""
            assert data, f"the program ended; shown: {self._text[-2000:]!r}"
            self._text += data.decode(errors="replace").replace("\r\n", "\n")

    def cpu(self) -> float:
        """Seconds that the program has computed: a busy machine does not add to them."""
        with open(f"/proc/{self._pid}/stat", encoding="ascii", errors="replace") as file:
            # proc_pid_stat(5): utime and stime, in clock ticks; the name may hold blanks.
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def let_compute(self, seconds: float, until: str = PROMPT) -> bool:
        """Whether the program has computed that much more, before the pattern was shown."""
        end = self.cpu() + seconds
        while self.cpu() < end:
            if re.search(until, self._text):
                return False
            self._read(0.005)
        return True

    def press(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def type(self, line: str, seconds: float = 60) -> str:
        """What the command line shows, without its echo and the next prompt."""
        self.press(f"{line}\r")
        shown = self.wait_for(PROMPT, seconds)
        return shown[shown.index("\n") + 1 : shown.rindex("crash> ")]

    def interrupt(self, line: str, sign: str = "started", pause: float = 0.3) -> str:
        """What comes after Ctrl-C, pressed a while after the command has shown the sign."""
        self.press(f"{line}\r")
        self.wait_for(f"{sign}\n")
        time.sleep(pause)
        self.press(CTRL_C)
        shown = self.wait_for(PROMPT)
        return shown[: shown.rindex("crash> ")].replace("^C", "")
