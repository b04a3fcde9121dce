"""A bundle that somebody has changed is refused, and the file is named.

Oracles: what each change does to which file, known from the places that Python's tarfile gives.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from bundle import made
from llext_tools.bundle.index import parse
from transcript import llext


class Given(NamedTuple):
    """A signed bundle; another one, by the same key; one by another key."""

    folder: Path
    data: bytes
    public: str
    other: bytes
    foreign: bytes


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    folder = tmp_path_factory.mktemp("bundle")
    made.dist(folder)
    private, public = made.keys(folder)
    stranger, _ = made.keys(folder, "stranger.pem")
    return Given(
        folder,
        made.packed(folder, "--key", private).read_bytes(),
        public,
        made.packed(folder, "--key", private, "--name", "other").read_bytes(),
        made.packed(folder, "--key", stranger).read_bytes(),
    )


def verify(given: Given, data: bytes, *options: str) -> tuple[int, str]:
    path = given.folder / "tampered.llextpack"
    path.write_bytes(data)
    code, printed = llext("verify", str(path), *(options or ("--key", given.public)))
    return code, " ".join(printed.split())


def owner(data: bytes, at: int) -> str:
    """The file whose header, contents or padding a byte belongs to; the archive itself behind the last one."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for member in archive:
            if member.offset <= at < member.offset_data + -(-member.size // 512) * 512:
                return f"`{member.name}`"
    return "the archive is damaged"


def test_the_bundle_itself_is_verified(given: Given) -> None:
    code, printed = verify(given, given.data)
    assert code == 0
    assert "4 artifacts, 13 files, each byte as packed; signed with key" in printed


@pytest.mark.parametrize("seed", range(40))
def test_a_flipped_bit_anywhere_is_seen(seed: int, given: Given) -> None:
    chosen = random.Random(seed)
    with tarfile.open(fileobj=io.BytesIO(given.data), mode="r:") as archive:
        every = archive.getmembers()
    if seed % 2:  # as many in headers and in padding as there are in contents
        member = chosen.choice(every)
        begin, end = member.offset, member.offset_data + -(-member.size // 512) * 512
        places = [*range(begin, member.offset_data), *range(member.offset_data + member.size, end)]
        at = chosen.choice(places)
    else:
        at = chosen.randrange(len(given.data))
    data = bytearray(given.data)
    data[at] ^= 1 << chosen.randrange(8)
    code, printed = verify(given, bytes(data))
    assert (code, owner(given.data, at) in printed) == (15, True), printed


@pytest.mark.parametrize("seed", range(15))
def test_a_bundle_that_is_cut_off_is_refused(seed: int, given: Given) -> None:
    length = random.Random(seed).randrange(1, len(given.data))
    code, printed = verify(given, given.data[:length])
    assert (code, "signature-missing" in printed) == (15, False)
    if seed:
        assert owner(given.data, length) in printed or "this is no bundle" in printed, printed


@pytest.mark.parametrize("extra", [b"\0", bytes(512), bytes(10240), b"x", b"hello" * 300])
def test_appended_bytes_are_seen(extra: bytes, given: Given) -> None:
    code, printed = verify(given, given.data + extra)
    assert (code, "the archive is damaged" in printed) == (15, True), printed


NAMES = [
    *("sbom.cdx.json", "signature.json", "cortex-m4-gcc/blink.json", "cortex-m33-gcc/meter.llext"),
    *("cortex-m4-gcc/blink.debug.elf", "cortex-m33-gcc/blink.llext"),
]
CHANGES: dict[str, Callable[[dict[str, bytes], str], list[tuple[str, bytes]]]] = {
    "removed": lambda files, name: [each for each in files.items() if each[0] != name],
    "renamed": lambda files, name: [(f"x{key}" if key == name else key, data) for key, data in files.items()],
    "twice": lambda files, name: [*files.items(), (name, files[name])],
    "last": lambda files, name: [*(each for each in files.items() if each[0] != name), (name, files[name])],
    "emptied": lambda files, name: [(key, b"" if key == name else data) for key, data in files.items()],
}


@pytest.mark.parametrize(
    ("change", "name"),
    [(change, name) for change in CHANGES for name in NAMES if (change, name) != ("last", "signature.json")],
)
def test_files_that_come_go_and_move_are_named(change: str, name: str, given: Given) -> None:
    changed = made.archive(CHANGES[change](made.members(given.data), name))
    code, printed = verify(given, changed)
    shown = "index.json" if name == "signature.json" and change in ("removed", "renamed", "emptied") else name
    assert (code, shown in printed) == (15, True), printed
    expected = {"removed": "bundle-missing", "renamed": "bundle-added", "twice": "bundle-added"}.get(change)
    if expected and name != "signature.json":
        assert expected in printed


@pytest.mark.parametrize("seed", range(10))
def test_a_file_that_is_put_between_is_named(seed: int, given: Given) -> None:
    chosen = random.Random(seed)
    files = list(made.members(given.data).items())
    files.insert(chosen.randrange(1, len(files) + 1), (f"extra{seed}", chosen.randbytes(chosen.randrange(2000))))
    code, printed = verify(given, made.archive(files))
    assert (code, f"`extra{seed}` is in the bundle, but not in its index" in printed) == (15, True), printed


def test_swapped_contents_name_both(given: Given) -> None:
    files = made.members(given.data)
    one, two = "cortex-m4-gcc/blink.json", "cortex-m33-gcc/meter.debug.elf"
    files[one], files[two] = files[two], files[one]
    code, printed = verify(given, made.archive(files))
    assert code == 15
    assert f"`{one}` was changed" in printed
    assert f"`{two}` was changed" in printed
    assert printed.endswith("2 errors")


def rewritten(files: dict[str, bytes], name: str, data: bytes) -> dict[str, bytes]:
    """The files with other contents of one, and an index that agrees."""
    index = json.loads(files["index.json"])
    index["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    changed = {**files, name: data, "index.json": (json.dumps(index, indent=2) + "\n").encode()}
    assert parse(changed["index.json"])
    return changed


@pytest.mark.parametrize("name", ["cortex-m4-gcc/blink.llext", "cortex-m4-gcc/blink.json", "sbom.cdx.json"])
def test_an_index_that_agrees_does_not_help(name: str, given: Given) -> None:
    files = made.members(given.data)
    code, printed = verify(given, made.archive(rewritten(files, name, files[name] + b" ")))
    assert (code, "error[signature-wrong]: `index.json` was changed" in printed) == (15, True), printed


def test_the_signature_of_another_bundle_does_not_help(given: Given) -> None:
    files = made.members(given.data)
    files["signature.json"] = made.members(given.other)["signature.json"]
    code, printed = verify(given, made.archive(files))
    assert (code, "error[signature-wrong]: `index.json`" in printed) == (15, True), printed


def test_another_key_is_not_trusted(given: Given) -> None:
    code, printed = verify(given, given.foreign)
    assert (code, "error[signature-untrusted]: `index.json`" in printed) == (15, True), printed
    stranger = str(given.folder / "stranger.pem.pub")
    assert verify(given, given.foreign, "--key", given.public, "--key", stranger)[0] == 0


def test_a_signature_written_otherwise_is_refused(given: Given) -> None:
    """Its meaning is the same, its bytes are not."""
    files = made.members(given.data)
    signature = json.loads(files["signature.json"])
    for text in (json.dumps(signature), json.dumps(signature, indent=2), json.dumps({**signature, "a": 1}, indent=2)):
        code, printed = verify(given, made.archive({**files, "signature.json": text.encode()}))
        assert (code, "error[signature-wrong]: `signature.json`" in printed) == (15, True), printed


def test_without_its_signature_only_the_digests_hold(given: Given) -> None:
    files = made.members(given.data)
    del files["signature.json"]
    code, printed = verify(given, made.archive(files))
    assert (code, "error[signature-missing]: nobody has signed `index.json`" in printed) == (15, True), printed
    code, printed = verify(given, made.archive(files), "--digests-only")
    assert (code, printed.endswith("not signed")) == (0, True)


def headers(change: Callable[[tarfile.TarInfo], None], data: bytes) -> bytes:
    """The archive with something in each header that leaves the contents alone; the check sums are right."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w:", format=tarfile.USTAR_FORMAT) as written:
        for name, contents in made.members(data).items():
            info = tarfile.TarInfo(name)
            info.size = len(contents)
            change(info)
            written.addfile(info, io.BytesIO(contents))
    return output.getvalue()


@pytest.mark.parametrize(
    ("key", "value"), [("mtime", 1), ("mode", 0o4755), ("uid", 1000), ("uname", "root"), ("linkname", "x")]
)
def test_nothing_else_may_stand_in_headers(key: str, value: object, given: Given) -> None:
    code, printed = verify(given, headers(lambda info: setattr(info, key, value), given.data))
    assert code == 15
    for name in made.members(given.data):
        assert f"`{name}` was changed: its header" in printed


def test_every_cause_is_told_at_once(given: Given) -> None:
    files = made.members(given.data)
    files["cortex-m4-gcc/blink.llext"] += b"!"
    files["stranger"] = b""
    del files["cortex-m33-gcc/meter.json"]
    code, printed = verify(given, made.archive(files))
    assert code == 15
    for part in (
        "`cortex-m4-gcc/blink.llext` was changed",
        "`stranger` is in the",
        "`cortex-m33-gcc/meter.json` is in",
    ):
        assert part in printed
    assert printed.endswith("3 errors")


@pytest.mark.parametrize("name", ["cortex-m4-gcc/blink.llext", "index.json"])
def test_a_damaged_bundle_is_not_unpacked_signed_or_shown(name: str, given: Given, tmp_path: Path) -> None:
    files = made.members(given.data)
    files[name] = files[name].replace(b"blink", b"flash", 1) if name == "index.json" else files[name] + b"!"
    path = tmp_path / "b.llextpack"
    path.write_bytes(made.archive(files))
    before = path.read_bytes()
    private = str(given.folder / "key.pem")
    output = tmp_path / "out"
    for command in (
        ["unpack", str(path), "-C", str(output)],
        ["sign", str(path), "--key", private],
        ["inspect", str(path)],
    ):
        code, printed = llext(*command)
        assert (code, f"`{name}`" in printed) == (15, True), printed
    assert path.read_bytes() == before
    assert not output.exists()
