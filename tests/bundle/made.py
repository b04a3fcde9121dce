"""Artifacts for tests of bundles, of objects of the conformance set: no compiler is needed."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from conformance.cases import objects
from transcript import llext

TARGETS = ("cortex-m4", "cortex-m33")


def dist(folder: Path, names: tuple[str, ...] = ("blink", "meter"), *, debug: bool = True) -> Path:
    """A folder as `llext build` leaves it: each extension for each target."""
    data = [objects(arch="arm")[name] for name in ("ptrs_arm_gcc/e.llext",)]
    for target in TARGETS:
        job = folder / "dist" / f"{target}-gcc"
        job.mkdir(parents=True)
        for name in names:
            source = folder / f"{name}.o"
            source.write_bytes(data[0])
            more = [f"--debug-file={job / name}.debug.elf"] if debug else []
            code, printed = llext("finish", str(source), "-o", f"{job / name}.llext", "--target", target, *more)
            assert (code, printed) == (0, "")
    return folder / "dist"


def packed(folder: Path, *options: str, name: str = "b.llextpack") -> Path:
    """The bundle of a folder's `dist`."""
    path = folder / name
    code, printed = llext("pack", str(folder / "dist"), "-o", str(path), *options)
    assert code == 0, printed
    return path


def keys(folder: Path, name: str = "key.pem") -> tuple[str, str]:
    """A new private key and its public key."""
    code, printed = llext("sign", "--new-key", str(folder / name))
    assert code == 0, printed
    return str(folder / name), str(folder / f"{name}.pub")


def members(data: bytes) -> dict[str, bytes]:
    """What Python's tarfile finds in an archive."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        return {each.name: archive.extractfile(each).read() for each in archive}  # type: ignore[union-attr]


def archive(files: Mapping[str, bytes] | list[tuple[str, bytes]]) -> bytes:
    """An archive with some files, written by Python's tarfile, with headers as a bundle has them."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w:", format=tarfile.USTAR_FORMAT) as written:
        for name, data in files.items() if isinstance(files, Mapping) else files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            written.addfile(info, io.BytesIO(data))
    return output.getvalue()


def codes_in(printed: str) -> set[str]:
    """The codes of what was reported."""
    return {line.partition("[")[2].partition("]")[0] for line in printed.splitlines() if line.startswith("error[")}


def refused(*command: str, environment: dict[str, str] | None = None) -> tuple[int, set[str], str]:
    """Exit code, codes of diagnostics, and what was printed in one line."""
    code, printed = llext(*command, environment=environment)
    return code, codes_in(printed), " ".join(printed.split())
