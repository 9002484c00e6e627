# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings: memory of real kernels, with the truth about every object, from and to files.

The format is described beside the recordings. It knows what crash answers by itself (page
frames, per-CPU offsets, counts of CPUs and nodes) and puts it where crash users read it.
"""

from __future__ import annotations

import gzip
import json
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

from mocks.image import ByteOrder, Image

_CHECKOUT = Path(__file__).resolve().parent.parent
DIRECTORIES = (_CHECKOUT / "tests" / "data", _CHECKOUT.parent / "shared" / "recordings")
"""Where recordings are looked for; a copy in the tree comes first."""

_ADDRESSES = {
    "slab_caches": "slab_caches",
    "kmem_cache": "kmem_cache",
    "__per_cpu_offset": "__per_cpu_offset",
    "nr_cpu_ids_addr": "nr_cpu_ids",
    "nr_node_ids_addr": "nr_node_ids",
    "log_buf_symbol": "log_buf",
    "cpu_online_mask": "cpu_online_mask",
    "vmemmap_base": "vmemmap_base",
    "page_offset_base": "page_offset_base",
}
"""Key in a recording's `symbols` -> the kernel symbol whose address it is. The rest are values."""


_LEFT_OUT = ("symbol __start_BTF", "symbol __stop_BTF")
"""No recording has the kernel's BTF, 5 MB each: it's as if the kernel had been built without."""


@dataclass
class Recording:
    """One recording. Addresses in `caches` are ints, in `truth` as the file has them."""

    kernel: str
    note: str
    image: Image
    caches: List[Tuple[int, str]]
    """(address, name) of every cache on slab_caches, in list order."""
    truth: Dict[str, Any]
    values: Dict[str, Any] = field(default_factory=dict)
    """What the file's `symbols` holds that is no kernel symbol's address.

    To be loaded again a recording needs nr_cpu_ids and nr_node_ids here; save() adds the rest.
    """

    outputs: Dict[str, str] = field(default_factory=dict)
    """Command line -> what it printed in real crash when this was recorded."""

    @property
    def log(self) -> str:
        return self.image.log


def find(name: str) -> Path:
    """The path of a recording's file. FileNotFoundError where no directory has it."""
    for directory in DIRECTORIES:
        if (directory / name).is_file():
            return directory / name
    raise FileNotFoundError(f"{name} is in none of {', '.join(map(str, DIRECTORIES))}")


def load(path: Union[str, Path]) -> Recording:
    """Reads a recording: a path, or the bare name of one that find() finds."""
    file = Path(path)
    with gzip.open(file if file.is_file() else find(str(path)), "rt", encoding="utf-8") as stream:
        document = json.load(stream)
    values = dict(document["symbols"])
    layout = document["layout"]
    byteorder: ByteOrder = values.pop("byteorder", "little")
    word = layout["structs"]["list_head"]["size"] // 2
    image = Image(word, byteorder, values.pop("page_size", 4096))
    for address, data in document["memory"].items():
        image.map(int(address, 16), b64decode(data))
    for key, symbol in _ADDRESSES.items():
        if values.get(key) is not None:
            image.symbols[symbol] = int(values.pop(key), 16)
    for name, address in values.pop("other_symbols", {}).items():
        image.symbols[name] = int(address, 16)
    for name, struct in layout["structs"].items():
        members = {member["name"]: _place(member) for member in struct["members"]}
        image.structs[name] = (struct["size"], members)
    image.enums.update(layout["enums"])
    _add_limits(image, values)
    _add_page_flags(image, values)
    image.page_offset = int(values["page_offset"], 16)
    image.vmemmap = int(values["vmemmap"], 16)
    ranges = values.get("present", [[0, values["max_pfn"]]])
    image.present = [(first, end) for first, end in ranges]
    image.percpu_offsets = [int(one, 16) for one in values["__per_cpu_offset_values"]]
    image.node_shift = values.get("page_node_shift") or 0
    image.log = document["log"]
    _add_variables(image, values)
    caches = [(int(cache["addr"], 16), cache["name"]) for cache in document["caches"]]
    note = document["note"]
    return Recording(
        document["kernel"], note, image, caches, document["truth"], values,
        document.get("outputs", {}),
    )  # fmt: skip


def save(recording: Recording, path: Union[str, Path]) -> None:
    """Writes a recording; load() of it gives the same image, caches, truth and log."""
    image = recording.image
    symbols = dict(recording.values)
    others = dict(image.symbols)
    for key, symbol in _ADDRESSES.items():
        address = others.pop(symbol, None)
        symbols[key] = None if address is None else hex(address)
    symbols.update(
        {
            "other_symbols": {name: hex(address) for name, address in others.items()},
            "page_offset": hex(image.page_offset),
            "vmemmap": hex(image.vmemmap),
            "present": image.present,
            "max_pfn": image.max_pfn,
            "page_node_shift": image.node_shift,
            "__per_cpu_offset_values": [hex(offset) for offset in image.percpu_offsets],
            "byteorder": image.byteorder,
            "page_size": image.page_size,
        }
    )
    if image.commands:
        symbols["commands"] = image.commands
    if image.asked_in_vain is not None:
        symbols["asked_in_vain"] = sorted(image.asked_in_vain)
        symbols["symbol_names"] = {hex(a): name for a, name in image.symbol_names.items()}
    document = {
        "kernel": recording.kernel,
        "note": recording.note,
        "symbols": symbols,
        "layout": {
            "kernel": recording.kernel,
            "structs": {name: _struct(*struct) for name, struct in image.structs.items()},
            "enums": image.enums,
        },
        "caches": [{"addr": hex(address), "name": name} for address, name in recording.caches],
        "memory": {hex(start): b64encode(data).decode() for start, data in image.extents()},
        "log": image.log,
        "truth": recording.truth,
        "outputs": recording.outputs,
    }
    # Neither a time nor a name in the header: the same recording is the same file.
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as stream:
        stream.write(json.dumps(document, sort_keys=True).encode())


def _place(member: Mapping[str, Any]) -> Tuple[int, int]:
    # crash gives a bit field's offset as gdb does: the byte that its first bit counts in.
    bit: Optional[int] = member.get("bit_offset")
    return (member["offset"] if bit is None else bit // 8), member["size"]


def _struct(size: int, members: Mapping[str, Tuple[int, int]]) -> Dict[str, Any]:
    listed = [{"name": n, "offset": o, "size": s} for n, (o, s) in members.items()]
    return {"size": size, "members": listed}


def _add_limits(image: Image, values: Dict[str, Any]) -> None:
    """What a recording by tests/record knows of its own limits; others know none."""
    in_vain = values.pop("asked_in_vain", None)
    if in_vain is not None:
        image.asked_in_vain = frozenset([*in_vain, *_LEFT_OUT])
    image.commands.update(values.pop("commands", {}))
    for address, name in values.pop("symbol_names", {}).items():
        image.symbol_names[int(address, 16)] = None if name is None else (name[0], name[1])


def _add_page_flags(image: Image, values: Mapping[str, Any]) -> None:
    if "PG_slab" not in image.enums and values.get("PG_slab") is not None:
        image.enums["PG_slab"] = values["PG_slab"]
    if image.member("page", "first_page") and "PG_tail" not in image.enums:
        # enum pageflags of 3.10 with CONFIG_PAGEFLAGS_EXTENDED (include/linux/page-flags.h).
        image.enums.update({"PG_head": 14, "PG_tail": 15})


def _add_variables(image: Image, values: Mapping[str, Any]) -> None:
    """Gives every variable that the host reads its symbol and memory, where one is missing."""
    offsets = b"".join(image.bytes_of(offset) for offset in image.percpu_offsets)
    _add_variable(image, "nr_cpu_ids", image.bytes_of(values["nr_cpu_ids"], 4))
    if "nr_node_ids" in values:  # a constant without CONFIG_NUMA
        _add_variable(image, "nr_node_ids", image.bytes_of(values["nr_node_ids"], 4))
    _add_variable(image, "max_pfn", image.bytes_of(image.max_pfn))
    _add_variable(image, "__per_cpu_offset", offsets)


def _add_variable(image: Image, name: str, data: bytes) -> None:
    address = image.symbols.get(name)
    if address is None:
        # Behind everything in the kernel's image, so that it can't touch what is there.
        address = image.symbols[name] = max(image.symbols.values()) + image.page_size
    if not image.is_mapped(address, len(data)):
        image.map(address, data)
