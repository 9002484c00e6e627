# SPDX-License-Identifier: GPL-3.0-or-later
"""Files by name: what a dentry, an inode and an open file are called, and who has files open.

Names are those within a file system: where it is mounted is not looked for.
"""

from __future__ import annotations

from typing import Iterable, Iterator, List, Optional, Tuple

from crash_ext.kernel.memory import read_string, try_number
from crash_ext.kernel.tasks import Task
from crash_ext.reader import Reader, ReadError
from crash_ext.report.text import text_of

_DEPTH = 64
_FDS = 1 << 16
"""Of a task."""


class Files:
    """Names of one kernel's files. None where something can't be read, or isn't what it seems."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def of_file(self, file: int) -> Optional[str]:
        """A struct file's name: "/pid of proc"."""
        path, dentry = self._offset("file", "f_path"), self._offset("path", "dentry")
        found = None if path is None or dentry is None else self._word(file + path + dentry)
        return self.of_dentry(found) if found else None

    def of_inode(self, inode: int) -> Optional[str]:
        """The same for an inode, by the first of its dentries; else its number: "2 of proc"."""
        # 7.3 has it in a union without a name; before that was d_u.
        first, alias = self._offset("inode", "i_dentry"), self._offset("dentry", "d_alias")
        alias = self._offset("dentry", "d_u") if alias is None else alias
        node = None if first is None or alias is None else self._word(inode + first)
        if not node:
            return self._number_of(inode) if node == 0 and self.is_inode(inode) else None
        dentry, own = node - (alias or 0), self._offset("dentry", "d_inode")
        if own is None or self._word(dentry + own) != inode:
            return None
        return self.of_dentry(dentry)

    def is_inode(self, inode: int) -> bool:
        """Whether there is an inode: its own pages know it as theirs (address_space.host)."""
        pages, host = self._offset("inode", "i_data"), self._offset("address_space", "host")
        return None not in (pages, host) and self._word(inode + (pages or 0) + (host or 0)) == inode

    def _number_of(self, inode: int) -> Optional[str]:
        number, block = self._offset("inode", "i_ino"), self._offset("inode", "i_sb")
        if number is None or block is None:
            return None
        kind = self.file_system(self._word(inode + block) or 0)
        return f"number {self._word(inode + number) or 0} of {kind}" if kind else None

    def of_dentry(self, dentry: int) -> Optional[str]:
        """The same for a dentry."""
        parent, name = self._offset("dentry", "d_parent"), self._offset("dentry", "d_name")
        text, block = self._offset("qstr", "name"), self._offset("dentry", "d_sb")
        if parent is None or name is None or text is None or block is None:
            return None
        names: List[str] = []
        kind = self.file_system(self._word(dentry + block) or 0)
        for _ in range(_DEPTH):
            above = self._word(dentry + parent)
            own = self._string(dentry + name + text)
            if not above or own is None:
                return None
            if above == dentry:
                # What is in no file system has no directory, and a name of its own.
                path = "/" + "/".join(reversed(names)) if names or own == "/" else own
                return f"{path} of {kind}" if kind else path
            names.append(own)
            dentry = above
        return None

    def file_system(self, block: int) -> Optional[str]:
        """The name of a super_block's file system."""
        kind, name = self._offset("super_block", "s_type"), self._offset("file_system_type", "name")
        found = None if kind is None or name is None else self._word(block + kind)
        return self._string(found + (name or 0)) if found else None

    def of_proc(self, entry: int) -> Optional[str]:
        """The path of a struct proc_dir_entry."""
        parent, name = self._offset("proc_dir_entry", "parent"), "name"
        text = self._offset("proc_dir_entry", name)
        names: List[str] = []
        for _ in range(_DEPTH if parent is not None and text is not None else 0):
            above = self._word(entry + (parent or 0))
            if not above:
                return None
            if above == entry:
                return "/proc/" + "/".join(reversed(names))
            own = self._string(entry + (text or 0))
            if own is None:
                return None
            names.append(own)
            entry = above
        return None

    def open_files(self, tasks: Iterable[Task]) -> Iterator[Tuple[int, Task, int]]:
        """(struct file *, task, number) of each file that a task has open."""
        reader, word = self._reader, self._reader.word
        files, table = self._offset("task_struct", "files"), self._offset("files_struct", "fdt")
        size, slots = self._offset("fdtable", "max_fds"), self._offset("fdtable", "fd")
        if files is None or table is None or size is None or slots is None:
            return
        seen = set()
        for task in sorted(tasks, key=lambda task: task.pid):
            own = self._word(task.address + files)
            if not own or own in seen:
                # Threads share one.
                continue
            seen.add(own)
            fdt = self._word(own + table) or 0
            count, first = try_number(reader, fdt + size, 4) or 0, self._word(fdt + slots)
            data = reader.try_read(first, min(count, _FDS) * word) if first and count else b""
            for number in range(len(data or b"") // word):
                piece = (data or b"")[number * word : (number + 1) * word]
                file = int.from_bytes(piece, reader.byteorder)
                if file:
                    yield file, task, number

    def _offset(self, struct: str, member: str) -> Optional[int]:
        return self._reader.offset(struct, member)

    def _word(self, address: int) -> Optional[int]:
        return try_number(self._reader, address, self._reader.word)

    def _string(self, at: int) -> Optional[str]:
        """The text to which the word at an address points."""
        start = self._word(at)
        try:
            found = read_string(self._reader, start) if start else None
        except ReadError:
            return None
        return text_of(found) if found else None
