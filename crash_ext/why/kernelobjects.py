# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the kernel's own has an object in its private word: a file, a device, an interrupt, ...

Told by where in the holder the pointer lies, and by what else stands there as it has to. The
way to such a holder is by any of its neighbours, and says little.
"""

from __future__ import annotations

from functools import cached_property
from typing import Dict, Optional, Tuple

from crash_ext.kernel.files import Files
from crash_ext.kernel.memory import read_string, try_number
from crash_ext.kernel.tasks import Task
from crash_ext.places.place import MODULE, OBJECT, SYMBOL, Place
from crash_ext.places.places import Places
from crash_ext.reach.model import Step
from crash_ext.reader import ReadError
from crash_ext.report.text import text_of

_FILE = "by an open file"
_INODE = "by the inode"
_ENTRY = "by the entry"
_DEVICE = "by the device"
_HANDLER = "by the handler"
_BLOCK = "by the super_block"
_SOCKET = "by a socket"
_RESOURCE = "by a resource"
BY_KERNEL_OBJECT = (_FILE, _INODE, _ENTRY, _DEVICE, _HANDLER, _BLOCK, _SOCKET, _RESOURCE)
"""How these names begin: each object has its own."""
_PROTOCOLS = ("prot", "proto")
"""How the variables of type struct proto are called."""
_LARGEST = 1 << 14
"""Bytes of an object in which a device is looked for."""
_BY_ACTION = "devm_action_release"
_RESOURCES = 1 << 12
"""Managed resources of a device at most."""


class KernelObjects:
    """Names holders of one kernel's objects."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._reader = places.session.reader
        self._files = Files(self._reader)

    def name(self, step: Step) -> str:
        """What the pointer of a step lies in, as "by an open file, …"; "" where it's no such."""
        place = step.place
        if place is None or place.kind != OBJECT or place.object is None:
            return ""
        start, offset = place.object, place.offset
        ways = (self._file, self._inode, self._entry, self._handler, self._block, self._socket)
        for way in ways:
            found = way(start, offset)
            if found:
                return found
        return self._resource(start, offset) or self._device(place, start, offset)

    def _file(self, start: int, offset: int) -> str:
        """By file.private_data."""
        if offset != self._reader.offset("file", "private_data"):
            return ""
        if self._symbol(start, "file", "f_op") is None:
            return ""
        name = self._files.of_file(start)
        if name is None:
            return ""
        user = self._open.get(start)
        if user is None:
            return f"{_FILE} that no task has in its table, {name}"
        task, number = user
        return f"{_FILE}, {name}: file {number} of task {task.text}"

    def _inode(self, start: int, offset: int) -> str:
        """By inode.i_private; a file system's own structure may have the inode inside."""
        own = self._reader.offset("inode", "i_private")
        inode = start + offset - (own or 0)
        if own is None or inode < start or (inode > start and not self._files.is_inode(inode)):
            return ""
        name = self._files.of_inode(inode)
        if name is None:
            return ""
        which = f", {name}," if name.startswith("number ") else f" of {name},"
        return f"{_INODE}{which} in its i_private"

    def _entry(self, start: int, offset: int) -> str:
        """By proc_dir_entry.data."""
        if offset != self._reader.offset("proc_dir_entry", "data"):
            return ""
        name = self._files.of_proc(start)
        return "" if name is None else f"{_ENTRY} {name}, in its data"

    def _handler(self, start: int, offset: int) -> str:
        """By irqaction.dev_id."""
        number = self._reader.offset("irqaction", "irq")
        if offset != self._reader.offset("irqaction", "dev_id") or number is None:
            return ""
        handler = self._symbol(start, "irqaction", "handler")
        name = self._string(start, "irqaction", "name")
        if handler is None or name is None:
            return ""
        irq = try_number(self._reader, start + number, 4)
        return f"{_HANDLER} {handler.text} of interrupt {irq}, {name}"

    def _block(self, start: int, offset: int) -> str:
        """By super_block.s_fs_info."""
        if offset != self._reader.offset("super_block", "s_fs_info"):
            return ""
        if self._symbol(start, "super_block", "s_op") is None:
            return ""
        name = self._files.file_system(start)
        return "" if name is None else f"{_BLOCK} of {name}, in its s_fs_info"

    def _socket(self, start: int, offset: int) -> str:
        """By sock.sk_user_data."""
        common, protocol = (
            self._reader.offset("sock", "__sk_common"),
            self._reader.offset("sock_common", "skc_prot"),
        )
        if offset != self._reader.offset("sock", "sk_user_data"):
            return ""
        if common is None or protocol is None:
            return ""
        found = self._static(start + common + protocol)
        if found is None or not found.label.split(" ")[0].endswith(_PROTOCOLS):
            return ""
        return f"{_SOCKET} of {found.text}, in its sk_user_data"

    def _resource(self, start: int, offset: int) -> str:
        """By what a device's driver has to give back: devm_add_action(), devm_kzalloc(), ...

        drivers/base/devres.c: struct devres_node begins each, device.devres_head heads them.
        """
        reader = self._reader
        at, head = reader.offset("devres_node", "entry"), reader.offset("device", "devres_head")
        release = self._symbol(start, "devres_node", "release")
        if at is None or head is None or release is None:
            return ""
        node: Optional[int] = start + at
        for _ in range(_RESOURCES):
            node = try_number(reader, node, reader.word) if node else None
            if not node or node == start + at:
                break
            device = self._device_name(node - head)
            if device is not None:
                by = self._action(start + offset) if release.text == _BY_ACTION else None
                name = release.text if by is None else by.text
                return f"{_RESOURCE} of the device {device}, which {name} gives back"
        return ""

    def _action(self, data: int) -> Optional[Place]:
        """What devm_add_action() was given, beside struct action_devres.data."""
        own = self._reader.offset("action_devres", "data")
        return None if own is None else self._symbol(data - own, "action_devres", "action")

    def _device(self, place: Place, start: int, offset: int) -> str:
        """By a structure with a struct device in it, which its kobject's type shows."""
        reader, word = self._reader, self._reader.word
        kind, ktype = reader.symbol("device_ktype"), self._of_kobject("ktype")
        size = place.cache.object_size if place.cache is not None else 0
        if kind is None or ktype is None or size > _LARGEST:
            return ""
        data = reader.try_read(start, size) or b""
        found = data.find(kind.to_bytes(word, reader.byteorder))
        device = found - ktype
        if found < 0 or device < 0 or found % word:
            return ""
        text = self._device_name(start + device)
        if text is None:
            return ""
        if offset - device == reader.offset("device", "driver_data"):
            return f"{_DEVICE} {text}, in its driver_data"
        return f"{_DEVICE} {text}, at +{offset:#x} of what it lies in, {place.label}"

    def _device_name(self, device: int) -> Optional[str]:
        """Of a struct device; None where its kobject's type says that it is none."""
        reader, word = self._reader, self._reader.word
        ktype, name = self._of_kobject("ktype"), self._of_kobject("name")
        kind = reader.symbol("device_ktype")
        if kind is None or ktype is None or name is None:
            return None
        if try_number(reader, device + ktype, word) != kind:
            return None
        return self._text(try_number(reader, device + name, word))

    def _of_kobject(self, member: str) -> Optional[int]:
        """Where in a struct device a member of its kobject is."""
        own, at = self._reader.offset("device", "kobj"), self._reader.offset("kobject", member)
        return None if own is None or at is None else own + at

    @cached_property
    def _open(self) -> Dict[int, Tuple[Task, int]]:
        found: Dict[int, Tuple[Task, int]] = {}
        for file, task, number in self._files.open_files(self._places.tasks.by_stack.values()):
            found.setdefault(file, (task, number))
        return found

    def _symbol(self, start: int, struct: str, member: str) -> Optional[Place]:
        """The variable or function to whose start a member points."""
        at = self._reader.offset(struct, member)
        return None if at is None else self._static(start + at)

    def _static(self, at: int) -> Optional[Place]:
        value = try_number(self._reader, at, self._reader.word)
        place = self._places.name(value) if value else None
        if place is None or place.kind not in (SYMBOL, MODULE) or place.offset:
            return None
        return place

    def _string(self, start: int, struct: str, member: str) -> Optional[str]:
        at = self._reader.offset(struct, member)
        return (
            None
            if at is None
            else self._text(try_number(self._reader, start + at, self._reader.word))
        )

    def _text(self, start: Optional[int]) -> Optional[str]:
        try:
            found = read_string(self._reader, start) if start else None
        except ReadError:
            return None
        return text_of(found) if found and found.isascii() else None
