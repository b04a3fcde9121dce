"""The files of a run: extensions and the firmware that they run on, read, and whether they fit each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from llext_tools import arch as archs
from llext_tools.arch.model import Target
from llext_tools.check.cpu import same_machine
from llext_tools.check.target import check_target
from llext_tools.diag import Location, Reporter
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import load_object
from llext_tools.host.firmware import read_firmware, require_image
from llext_tools.link.exports import ExportTable
from llext_tools.run import guess_target


class Sources(NamedTuple):
    """Extensions in the order of loading, their CPU, and the firmware. ``exports``: None for the built-in host."""

    objects: tuple[ElfObject, ...]
    target: Target
    exports: ExportTable | None
    firmware: tuple[ElfObject, ...]


def read_sources(
    paths: Sequence[str], *, target: str = "", firmware: Sequence[str] = (), exports: Sequence[str] = ()
) -> Sources:
    """Read the files.

    Args:
        paths: of extensions, in the order of loading.
        target: by default the first one that the last extension fits on.
        firmware: images, whose code runs.
        exports: further tables, or images.
    Raises:
        LlextError: a file cannot be read, or is for another CPU.
    """
    objects = tuple(map(load_object, paths))
    cpu = archs.target(target) if target else guess_target(objects[-1])
    fits = Reporter()
    for obj in objects:
        check_target(obj, cpu.name, fits)
    fits.checkpoint()
    if not firmware and not exports:
        return Sources(objects, cpu, None, ())
    for path in firmware:
        require_image(path, "give its image, `zephyr.elf`, and tables with `--exports`")
    host = read_firmware([*firmware, *exports])
    for image in host.images:
        fits.add(same_machine(objects[-1], image.exports, Location(objects[-1].path)))
    fits.checkpoint()
    return Sources(objects, cpu, host.exports, tuple(image.obj for image in host.images))
