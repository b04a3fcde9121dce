"""The manifest of a finished extension: what is known of it, of how it was made, and of what it was checked against.

Nothing in it depends on a folder, on the time or on the machine, so that equal builds have equal manifests. The keys
are described in ``schema.json``, from which docs/reference/manifest.md is made.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from llext_tools import artifact
from llext_tools.abi.manifest import imported, interface_of
from llext_tools.artifact.flags import read_flags
from llext_tools.check.exported import names, offered, own_names
from llext_tools.diag import Reporter, fail
from llext_tools.elf.attributes import read_attributes, tag_name
from llext_tools.elf.buildid import build_id
from llext_tools.elf.model import ElfObject
from llext_tools.errors import LlextError
from llext_tools.files import read_bytes
from llext_tools.link.regions import map_regions
from llext_tools.link.validate import find_arch
from llext_tools.llext.bill import Bill, Job, memory_bill
from llext_tools.llext.config import KIB, Config
from llext_tools.llext.loaders import Storage
from llext_tools.mem import PERM
from llext_tools.profile import Profile

ZEPHYRS = Config(heap_size=8 * KIB, log_level_dbg=False)
"""The firmware of the memory bill: Zephyr's defaults."""


class Made(NamedTuple):
    """What a file does not tell of itself. ``flags``: language -> the file that CMake has written."""

    target: str = ""
    toolchain: str = ""
    version: str = ""
    flags: Mapping[str, str] = {}


def compose(
    obj: ElfObject, source: ElfObject, profile: Profile, made: Made, files: Mapping[str, Any]
) -> dict[str, Any]:
    """The manifest of ``obj``, finished, with what the debug information of ``source`` says.

    Raises:
        FormatError: ``file-unreadable``.
        UsageError: ``usage``: a file of flags cannot be understood.
    """
    regions = map_regions(obj, Reporter()).regions
    toolchain = {
        **({"name": made.toolchain} if made.toolchain else {}),
        **({"version": made.version} if made.version else {}),
        **({"flags": {language: _flags(path) for language, path in sorted(made.flags.items())}} if made.flags else {}),
    }
    memory = _memory(obj, profile)
    return {
        "format": artifact.FORMAT,
        "name": os.path.splitext(os.path.basename(obj.path))[0],
        **({"build_id": build_id(obj).hex()} if build_id(obj) else {}),
        "target": _target(obj, made.target),
        **({"toolchain": toolchain} if toolchain else {}),
        "regions": [
            {"name": mem.name, "size": region.size, "align": region.align}
            for mem, region in sorted(regions.items())
            if mem in PERM
        ],
        **({"memory": memory} if memory else {}),
        **interface_of(obj, source, {**dict.fromkeys(names(offered(obj)), ()), **own_names(source)}),
        "files": dict(files),
    }


def _target(obj: ElfObject, name: str) -> dict[str, Any]:
    attributes = {tag_name(obj.machine, tag): value for tag, value in sorted(read_attributes(obj).items())}
    return {
        **({"name": name} if name else {}),
        "machine": obj.machine,
        "bits": obj.bits,
        "flags": obj.flags,
        "attributes": attributes,
    }


def _flags(path: str) -> list[str]:
    try:
        return read_flags(read_bytes(path).decode("utf-8", "surrogateescape"))
    except ValueError as error:
        fail("usage", f"llext finish: `{path}` is no list of flags: {error}")


def _memory(obj: ElfObject, profile: Profile) -> dict[str, Any]:
    """What loading it costs with Zephyr's defaults; nothing if the loader refuses it, which is for a check to say."""
    try:
        job = Job(
            data=obj.image.tobytes(),
            name=obj.path,
            arch=find_arch(obj, Reporter()),
            bits=obj.bits,
            config=ZEPHYRS,
            profile=profile,
            storage=Storage.TEMPORARY,
            peek=True,
            buffer=None,
            imports=tuple(imported(obj)),
        )
        return _bill(memory_bill(job)[0])
    except LlextError:
        return {}


def _bill(bill: Bill) -> dict[str, Any]:
    (heap,) = bill.heaps
    return {
        "heap": ZEPHYRS.heap,
        "protection": ZEPHYRS.protection,
        "storage": Storage.TEMPORARY.value,
        "taken": heap.taken,
        "peak": heap.peak,
        "smallest_kib": heap.smallest,
        "allocations": [{"what": row.what, "size": row.total, "kept": row.kept} for row in heap.rows],
    }


def checked(
    profile: str, firmware: Iterable[str], extensions: Iterable[str], warnings: Iterable[str]
) -> dict[str, Any]:
    """The key ``checked``: of a check that found no error.

    Args:
        firmware, extensions: paths of what it was checked against.
        warnings: the codes of those that are left.
    Raises:
        FormatError: ``file-unreadable``.
    """
    return {
        "profile": profile,
        "firmware": [artifact.named_file(path) for path in firmware],
        "extensions": [artifact.named_file(path) for path in extensions],
        "warnings": sorted(set(warnings)),
    }
