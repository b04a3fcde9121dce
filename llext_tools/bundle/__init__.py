"""A bundle: the artifacts of several targets in one file, with an index, a bill of materials and a signature.

    index.json             first: name, version, artifacts; size and SHA-256 of each file but the signature
    sbom.cdx.json          the bill of materials, CycloneDX
    <job>/<name>.llext     the artifacts, as `llext build` leaves them: a folder for each target and toolchain
    <job>/<name>.json      their manifests
    <job>/<name>.debug.elf
    signature.json         last, if it is signed: of the bytes of index.json

It is a tar archive that any tar unpacks, but of all archives with these files only one is the bundle: names in a fixed
order, no owner, one time, zeros for padding. So whoever has the index can tell each byte that has to follow, and a
signature over the index holds for every byte of the file.

``container`` knows the archive, ``index`` the index. ``gather`` finds artifacts, ``helpers`` what of the compiler is in
them, ``pack`` puts them into a bundle. ``verify`` compares archive and index, ``signed`` judges the signature,
``unpack`` writes the files. ``keys`` and ``sbom`` are the only modules that load a library.
"""

from __future__ import annotations

import re

SUFFIX = ".llextpack"
START = b"index.json\0"
KIND = re.compile(re.escape(START))
BILL = re.compile(rb'\s*\{\s*"\$schema"\s*:\s*"http://cyclonedx\.org/')
"""How a bundle and a bill of materials begin."""
INDEX, SBOM, SIGNATURE = "index.json", "sbom.cdx.json", "signature.json"


def looks_like_bundle(path: str, data: bytes) -> bool:
    """Whether a file should be taken for a bundle: by its name, as a tar archive, or as the beginning of a bundle."""
    return path.endswith(SUFFIX) or data[257:262] == b"ustar" or (data != b"" and cut_off(data))


def cut_off(data: bytes) -> bool:
    """Whether a file of a bundle's beginning, or of nothing, may be all that is left of one."""
    return START.startswith(data[: len(START)])
