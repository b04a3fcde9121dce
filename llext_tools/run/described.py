"""What debug information says of all that is there: of a firmware, which defines functions, and of extensions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llext_tools import arch as archs
from llext_tools.abi.c import Known
from llext_tools.arch.model import Target
from llext_tools.c.prototype import parse_prototype
from llext_tools.c.types import CType, DataModel, Prototype
from llext_tools.elf.model import ElfObject
from llext_tools.host import builtin
from llext_tools.link.exports import Export, ExportTable
from llext_tools.link.image import Image


class Described:
    """Prototypes and types. Files are read when somebody asks.

    ``firmware``: what each of its images says.
    """

    def __init__(self, images: Sequence[Image], firmware: Iterable[ElfObject], target: Target) -> None:
        self.arch = archs.load(target.arch)
        self.model = DataModel(target.bits, self.arch.callconv.long_double)
        self.firmware = tuple(Known(obj, self.model) for obj in firmware)
        self._images = {id(image): Known(image.obj, self.model) for image in images}

    def of(self, image: Image) -> Known:
        """What one of the extensions says."""
        return self._images[id(image)]

    def prototype(self, export: Export) -> Prototype | None:
        """Of a function that extensions import."""
        found = [known.prototype(export.name, export.address) for known in self.firmware]
        found += [known.prototype(export.name) for known in self._images.values() if not any(found)]
        return next((p for p in found if p is not None and (p.params or not p.variadic)), None)

    def given(self, text: str) -> Prototype:
        """A prototype in C, which may name types that are described here.

        Raises:
            UsageError: ``prototype-syntax``.
        """
        return parse_prototype(text, self.model, self.type)

    def type(self, name: str) -> CType | None:
        """A type by its tag or typedef, the last extension's before all others."""
        everybody = [*reversed(self._images.values()), *self.firmware]
        return next((found for known in everybody if (found := known.type(name)) is not None), None)

    def function(self, name: str, exports: ExportTable | None) -> Prototype | None:
        """Of a function of the host, whoever tells."""
        export = (exports.find(name) if exports else None) or Export(name, 0)
        if found := self.prototype(export):
            return found
        function = builtin.BY_NAME.get(name)
        text = function.prototype if function else export.prototype
        return parse_prototype(text, self.model) if isinstance(text, str) and text else None
