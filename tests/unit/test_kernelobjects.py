# SPDX-License-Identifier: GPL-3.0-or-later
"""What has an object in its private word is named: a file, an inode, a device, an interrupt."""

from __future__ import annotations

from typing import Optional

import pytest

from mocks.structs import parse
from tests.unit.test_containers import CALL, Scene

FORMS = {
    "file": "f_path:2p f_op:p private_data:p",
    "path": "mnt:p dentry:p",
    "dentry": "d_parent:p d_name:2p d_inode:p d_sb:p d_u:2p",
    "qstr": "hash:8 name:p",
    "super_block": "s_type:p s_op:p s_fs_info:p",
    "file_system_type": "name:p",
    "inode": "i_mode:8 i_dentry:p i_private:p i_ino:p i_sb:p i_data:16",
    "address_space": "host:p flags:8",
    "proc_dir_entry": "data:p parent:p name:p",
    "irqaction": "handler:p dev_id:p irq:4 name:p",
    "sock": "__sk_common:16 sk_user_data:p",
    "sock_common": "skc_family:8 skc_prot:p",
    "device": "kobj:16 driver_data:p devres_head:16",
    "devres_node": "entry:16 release:p",
    "action_devres": "data:p action:p",
    "kobject": "name:p ktype:p",
    "files_struct": "count:8 fdt:p",
    "fdtable": "max_fds:8 fd:p",
}


class Machine(Scene):
    """Of the two holders the first has the first object; the others' structures are in a page."""

    def __init__(self) -> None:
        super().__init__()
        for name, members in FORMS.items():
            self.image.structs[name] = parse(members, 8)
        self.holder = self.holders[0]
        self.scrap = self.pages.start + 0x400
        self.put(self.root, self.holder)

    def take(self, struct: str) -> int:
        """Memory for one."""
        at = self.scrap
        self.scrap += self.image.sizeof(struct)
        return at

    def set(self, struct: str, at: int, **values: int) -> int:
        for name, value in values.items():
            offset, size = self.image.structs[struct][1][name]
            self.image.put(at + offset, min(size, 8), value)
        return at

    def text(self, said: bytes) -> int:
        return self.pages.annex.string(said + b"\0")

    def dentry(self, name: bytes, above: Optional[int], inode: int = 0) -> int:
        kind = self.set("file_system_type", self.take("file_system_type"), name=self.text(b"tmpfs"))
        block = self.set("super_block", self.take("super_block"), s_type=kind)
        made = self.take("dentry")
        self.set("dentry", made, d_parent=above or made, d_inode=inode, d_sb=block)
        self.image.pointer(made + 16, self.text(name))
        return made

    def file(self, dentry: int) -> None:
        at, function = self.holder, self.code + CALL
        self.set("file", at, f_op=function, private_data=self.objects[0])
        self.image.pointer(at + 8, dentry)


def test_an_open_file_is_named_with_who_has_it_open() -> None:
    scene = Machine()
    top = scene.dentry(b"/", None)
    scene.file(scene.dentry(b"conn-0", scene.dentry(b"run", top)))
    assert scene.name() == ("by an open file that no task has in its table, /run/conn-0 of tmpfs")
    size, members = scene.image.structs["task_struct"]
    scene.image.structs["task_struct"] = (size + 8, {**members, "files": (size, 8)})
    task = scene.land.task(77, b"pumper", scene.pages.start + 0x4000)
    slots = scene.take("dentry")
    table = scene.set("fdtable", scene.take("fdtable"), max_fds=3, fd=slots)
    own = scene.set("files_struct", scene.take("files_struct"), fdt=table)
    scene.set("task_struct", task, files=own)
    scene.image.pointer(slots + 16, scene.holder)
    assert scene.name() == "by an open file, /run/conn-0 of tmpfs: file 2 of task 77 pumper"


def test_what_only_looks_like_a_file_is_none() -> None:
    scene = Machine()
    scene.file(scene.dentry(b"conn-0", None))
    assert scene.name() != ""
    scene.set("file", scene.holder, f_op=scene.code + CALL + 4)
    assert scene.name() == ""
    scene.file(0)
    assert scene.name() == ""


@pytest.mark.parametrize("own", [True, False])
def test_an_inode_is_named_by_a_dentry_that_has_it(own: bool) -> None:
    scene = Machine()
    top = scene.dentry(b"/", None)
    dentry = scene.dentry(b"state", top, scene.holder if own else scene.holder + 8)
    node = dentry + scene.image.structs["dentry"][1]["d_u"][0]
    scene.set("inode", scene.holder, i_dentry=node, i_private=scene.objects[0])
    assert scene.name() == ("by the inode of /state of tmpfs, in its i_private" if own else "")


@pytest.mark.parametrize("whole", [True, False])
def test_an_inode_in_a_file_system_s_own_structure_is_told_by_its_pages(whole: bool) -> None:
    scene = Machine()
    _, members = scene.image.structs["inode"]
    inode = scene.holder + 0x10
    node = scene.dentry(b"state", scene.dentry(b"/", None), inode)
    node += scene.image.structs["dentry"][1]["d_u"][0]
    scene.set("inode", inode, i_dentry=node, i_private=scene.objects[0])
    if whole:
        scene.image.pointer(inode + members["i_data"][0], inode)
    assert scene.name() == ("by the inode of /state of tmpfs, in its i_private" if whole else "")


def test_the_list_of_an_inode_s_dentries_is_in_no_union_of_a_name_any_more() -> None:
    scene = Machine()
    size, members = scene.image.structs["dentry"]
    del members["d_u"]
    scene.image.structs["dentry"] = (size, {**members, "d_alias": (size - 16, 16)})
    dentry = scene.dentry(b"state", scene.dentry(b"/", None), scene.holder)
    scene.set("inode", scene.holder, i_dentry=dentry + size - 16, i_private=scene.objects[0])
    assert scene.name() == "by the inode of /state of tmpfs, in its i_private"


@pytest.mark.parametrize("whole", [True, False])
def test_an_inode_without_a_dentry_has_a_number(whole: bool) -> None:
    """One that is busy though its file is gone, or was never open by name."""
    scene = Machine()
    kind = scene.set("file_system_type", scene.take("file_system_type"), name=scene.text(b"tmpfs"))
    block = scene.set("super_block", scene.take("super_block"), s_type=kind)
    scene.set("inode", scene.holder, i_private=scene.objects[0], i_ino=901, i_sb=block)
    if whole:
        scene.set("inode", scene.holder, i_data=scene.holder)
    told = "by the inode, number 901 of tmpfs, in its i_private"
    assert scene.name() == (told if whole else "")


def test_an_entry_of_proc_is_named_by_its_path() -> None:
    scene = Machine()
    top = scene.take("proc_dir_entry")
    scene.set("proc_dir_entry", top, parent=top)
    above = scene.set("proc_dir_entry", scene.take("proc_dir_entry"), parent=top)
    scene.set("proc_dir_entry", above, name=scene.text(b"net"))
    name = scene.text(b"conns")
    scene.set("proc_dir_entry", scene.holder, data=scene.objects[0], parent=above, name=name)
    assert scene.name() == "by the entry /proc/net/conns, in its data"
    scene.set("proc_dir_entry", top, parent=0)
    assert scene.name() == ""


def test_a_handler_of_an_interrupt_is_named_with_its_number() -> None:
    scene = Machine()
    named, function = scene.text(b"conn"), scene.code + CALL
    values = {"handler": function, "dev_id": scene.objects[0], "irq": 17, "name": named}
    scene.set("irqaction", scene.holder, **values)
    assert scene.name() == "by the handler notify [bar] of interrupt 17, conn"
    scene.set("irqaction", scene.holder, handler=scene.root)
    assert scene.name() == ""


@pytest.mark.parametrize("protocol", [b"conn_prot", b"conn_table"])
def test_a_socket_is_told_by_its_protocol(protocol: bytes) -> None:
    scene = Machine()
    scene.image.structs["sock"] = parse("__sk_common:16 sk_backlog:40 sk_user_data:p", 8)
    own = scene.pages.heap._arena.variable(protocol.decode())
    scene.set("sock", scene.holder, sk_user_data=scene.objects[0] + 0x10)
    scene.image.pointer(scene.holder + 8, own)
    found = "by a socket of conn_prot, in its sk_user_data" if protocol == b"conn_prot" else ""
    assert scene.name() == found


@pytest.mark.parametrize("at", [64, 80])
def test_a_device_is_told_by_the_type_of_its_kobject(at: int) -> None:
    """The pointer may be in the device's own word for it, or in what the device lies in."""
    scene = Machine()
    kind = scene.pages.heap._arena.variable("device_ktype")
    device = scene.holder + 48
    scene.put(device, scene.text(b"conn.3"), kind)
    scene.put(scene.holder + at, scene.objects[0])
    own = "in its driver_data" if at == 64 else "at +0x50 of what it lies in, kmalloc-128"
    assert scene.name() == f"by the device conn.3, {own}"
    scene.put(device + 8, scene.root)
    assert scene.name() == ""


@pytest.mark.parametrize("by_action", [False, True])
def test_a_managed_resource_is_named_by_its_device(by_action: bool) -> None:
    """devm_kzalloc() and devm_add_action(): the way there is by any of the device's neighbours."""
    scene = Machine()
    kind = scene.pages.heap._arena.variable("device_ktype")
    device, action = scene.take("device"), scene.code + CALL
    scene.put(device, scene.text(b"conn.3"), kind)
    release = scene.pages.heap._arena.function("devm_action_release" if by_action else "conn_put")
    scene.set("devres_node", scene.holder, release=release)
    scene.pages.heap.writer.ring(device + 24, [scene.holder])
    scene.set("action_devres", scene.holder + 0x20, data=scene.objects[0], action=action)
    name = "notify [bar]" if by_action else "conn_put"
    assert scene.name() == f"by a resource of the device conn.3, which {name} gives back"
    scene.pages.heap.writer.ring(scene.holder, [])
    assert scene.name() == ""
    scene.pages.heap.writer.ring(device + 24, [scene.holder])
    scene.put(device + 8, scene.root)
    assert scene.name() == ""


def test_a_super_block_is_named_by_its_file_system() -> None:
    scene = Machine()
    kind = scene.set("file_system_type", scene.take("file_system_type"), name=scene.text(b"connfs"))
    operations = scene.pages.heap._arena.variable("conn_ops")
    values = {"s_type": kind, "s_op": operations, "s_fs_info": scene.objects[0]}
    scene.set("super_block", scene.holder, **values)
    assert scene.name() == "by the super_block of connfs, in its s_fs_info"
