# SPDX-License-Identifier: GPL-3.0-or-later
"""What a slab keeps of its objects' owners, beside a heap: object extensions in every layout.

It writes what mm/slub.c, mm/memcontrol.c and lib/alloc_tag.c write, and knows no decoder.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional

from mocks.annex import Annex
from mocks.heap import Heap
from mocks.model import Slab
from mocks.structs import parse

_STRUCTS = {
    "obj_cgroup": "refcnt:2p memcg:p nr_charged_bytes:4",
    "cgroup_subsys_state": "cgroup:p ss:p flags:4",
    "mem_cgroup": "css:3p id:8",
    "cgroup": "self:3p flags:p kn:p",
    "codetag": "flags:4 lineno:4 modname:p function:p filename:p",
    "alloc_tag": "ct:4p counters:p",
}
_KERNFS = "count:4 active:4 {parent}:p name:p rb:3p"

_CSS_ONLINE = 2

_OBJEXTS = 1
"""MEMCG_DATA_OBJEXTS, and MEMCG_DATA_OBJCGS before it."""


class Kept(NamedTuple):
    """What is kept of one object; 0: nothing."""

    objcg: int = 0
    codetag: int = 0


class ObjectExtensions:
    """memcg, profiling: what the kernel was built with.

    codetags: memory allocation profiling is on (v7.3: a static key).
    """

    def __init__(
        self, heap: Heap, *, memcg: bool = True, profiling: bool = True, codetags: bool = True
    ) -> None:
        self._heap = heap
        self._image = heap.image
        self._annex = Annex(self._image, 16)
        layout = heap.layout
        self._exts = layout.has("slab", "obj_exts")
        self._one_word = layout.has("slab", "obj_exts_in_object")
        self._codetags = codetags and profiling
        structs = dict(_STRUCTS)
        # By the DWARF of v7.3, which has both.
        self._id = "mem_cgroup_private_id" if self._one_word else "mem_cgroup_id"
        structs[self._id] = "id:4 ref:4"
        structs["kernfs_node"] = _KERNFS.format(parent="__parent" if self._one_word else "parent")
        if self._one_word:
            parts = ["_objcg@0:p"] if memcg else []
            parts += ["_ctref@0:p"] if profiling else []
            structs["slabobj_ext"] = " ".join(parts)
            if profiling:
                self._image.u32(self._annex.variable("slab_obj_ext_has_codetag_key", 16), codetags)
        elif self._exts:
            parts = ["objcg:p"] if memcg else []
            parts += ["ref:p"] if profiling else []
            structs["slabobj_ext"] = " ".join(parts)
        for name, text in structs.items():
            self._image.structs[name] = parse(text, self._image.word)
        self._image.enums["CSS_ONLINE"] = _CSS_ONLINE
        self._root = self._kernfs(b"", 0)
        self.subsystem = self._annex.variable("memory_cgrp_subsys", 64)

    def tag(self, file: bytes, line: int, function: bytes, module: Optional[bytes] = None) -> int:
        """The struct codetag * of a line that allocates."""
        address = self._new("codetag")
        name = self._annex.string(module) if module is not None else 0
        self._image.set(
            "codetag",
            address,
            lineno=line,
            modname=name,
            function=self._annex.string(function),
            filename=self._annex.string(file),
        )
        return address

    def memcg(self, path: bytes, number: int, *, removed: bool = False) -> int:
        """The struct obj_cgroup * of a new memcg whose cgroup has that path, or had it."""
        node = self._root
        for name in path.split(b"/"):
            node = self._kernfs(name, node) if name else node
        cgroup, memcg, objcg = self._new("cgroup"), self._new("mem_cgroup"), self._new("obj_cgroup")
        self._image.set("cgroup", cgroup, kn=node)
        flags = 0 if removed else _CSS_ONLINE
        self._image.set("cgroup_subsys_state", memcg, cgroup=cgroup, ss=self.subsystem, flags=flags)
        self._image.set(self._id, memcg + self._image.offset("mem_cgroup", "id"), id=number)
        self._image.set("obj_cgroup", objcg, memcg=memcg)
        return objcg

    def memcg_of(self, objcg: int) -> int:
        """The struct mem_cgroup * of such a struct obj_cgroup."""
        return self._image.get(objcg + self._image.offset("obj_cgroup", "memcg"), self._image.word)

    def put(
        self,
        slab: Slab,
        kept: Dict[int, Kept],
        *,
        in_object: int = 0,
        needs_objcg: bool = True,
    ) -> int:
        """Gives a slab its extensions; the address of object 0's.

        in_object: v7.0 and later: the entries lie so many bytes from their objects' starts, in
        their tail padding. needs_objcg: v7.3: entries have room for a memcg.
        """
        members = self._parts(needs_objcg)
        size = self._image.word * len(members)
        stride = slab.cache.size if in_object else size
        base = slab.object(0) + in_object if in_object else self._annex.take(slab.objects * stride)
        for index in range(slab.objects):
            entry = kept.get(index, Kept())
            values = {"objcg": entry.objcg, "codetag": entry.codetag}
            for number, name in enumerate(members):
                at = base + index * stride + number * self._image.word
                self._image.pointer(at, values[name])
        self._point(slab, base, stride, bool(in_object), needs_objcg)
        return base

    def _parts(self, needs_objcg: bool) -> List[str]:
        if not self._exts:
            return ["objcg"]
        if self._one_word:
            return ["objcg"] * needs_objcg + ["codetag"] * self._codetags
        members = self._image.structs["slabobj_ext"][1]
        names = {"objcg": "objcg", "ref": "codetag"}
        return [names[member] for member in members]

    def _point(
        self, slab: Slab, base: int, stride: int, in_object: bool, needs_objcg: bool
    ) -> None:
        layout, image = self._heap.layout, self._heap.image
        member = "memcg_data"
        if self._exts:
            member = "obj_exts"
        elif layout.descriptor == "page":
            member = "obj_cgroups"
        offset = image.structs[layout.descriptor][1][member][0]
        image.pointer(slab.page + offset, base | _OBJEXTS)
        if layout.has("slab", "stride"):
            offset, size = image.structs["slab"][1]["stride"]
            image.put(slab.page + offset, size, stride)
        if self._one_word:
            offset, size = image.structs["slab"][1]["obj_exts_in_object"]
            image.put(slab.page + offset, size, int(in_object) | int(needs_objcg) << 1)

    def _kernfs(self, name: bytes, parent: int) -> int:
        node = self._new("kernfs_node")
        link = "__parent" if self._one_word else "parent"
        self._image.set("kernfs_node", node, name=self._annex.string(name), **{link: parent})
        return node

    def _new(self, struct: str) -> int:
        return self._annex.take(self._image.sizeof(struct))
