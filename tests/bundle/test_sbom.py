"""The bill of materials. Oracle: the schema of CycloneDX 1.6, strictly."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from bundle import made


def test_the_bill_of_materials_is_cyclonedx(tmp_path: Path) -> None:
    """Oracle: the schema of CycloneDX 1.6, strictly."""
    made.dist(tmp_path)
    files = made.members(made.packed(tmp_path, "--name", "kit", "--version", "1.2").read_bytes())
    text = files["sbom.cdx.json"].decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    assert bill["metadata"]["component"]["name"] == "kit"
    assert [tool["name"] for tool in bill["metadata"]["tools"]["components"]] == ["llext-tools"]
    parts = {part["bom-ref"]: part for part in bill["components"]}
    (dependencies,) = [each["dependsOn"] for each in bill["dependencies"] if each["ref"] == "bundle"]
    assert sorted(dependencies) == sorted(name for name in files if name.endswith(".llext"))
    for name in dependencies:
        digest = hashlib.sha256(files[name]).hexdigest()
        assert parts[name]["hashes"] == [{"alg": "SHA-256", "content": digest}]
        properties = {each["name"].partition(":")[2]: each["value"] for each in parts[name]["properties"]}
        assert properties["job"] == name.partition("/")[0] == f"{properties['target']}-gcc"


def test_the_bill_names_compiler_and_firmware(tmp_path: Path) -> None:
    """Of manifests that name them: both are what the extension depends on."""
    dist = made.dist(tmp_path, ("blink",))
    for path in dist.rglob("*.json"):
        document = json.loads(path.read_text())
        document["toolchain"] = {"name": "gcc", "version": "12.2", "flags": {}}
        firmware = [{"file": "zephyr.elf", "sha256": "0" * 64}]
        document["checked"] = {"profile": "zephyr-4.2", "firmware": firmware, "extensions": [], "warnings": []}
        path.write_text(json.dumps(document))
    files = made.members(made.packed(tmp_path).read_bytes())
    text = files["sbom.cdx.json"].decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    parts = {part["bom-ref"]: part for part in bill["components"]}
    needed = {each["ref"]: each.get("dependsOn", []) for each in bill["dependencies"]}["cortex-m4-gcc/blink.llext"]
    assert {(parts[ref]["name"], parts[ref].get("version")) for ref in needed} == {
        ("gcc", "12.2"),
        ("zephyr.elf", None),
    }
