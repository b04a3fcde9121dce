"""Bundles taken apart and shown. Oracle: the files that were packed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundle import made
from transcript import llext


def test_unpacking_writes_all_or_nothing(tmp_path: Path) -> None:
    dist, output = made.dist(tmp_path), tmp_path / "out"
    path = str(made.packed(tmp_path))
    assert llext("unpack", path, "-C", str(output))[0] == 0
    for source in dist.rglob("*"):
        target = output / source.relative_to(dist)
        assert target.is_dir() if source.is_dir() else target.read_bytes() == source.read_bytes()
    code, _, printed = made.refused("unpack", path, "-C", str(output))
    assert (code, "0 files written, 13 were there; not signed" in printed) == (0, True)
    assert "4 artifacts, 13 files, each byte as packed; not signed" in made.refused("verify", path, "--digests-only")[2]
    changed, gone = output / "cortex-m4-gcc/blink.json", output / "cortex-m33-gcc/blink.json"
    changed.write_text("mine")
    gone.unlink()
    code, codes, printed = made.refused("unpack", path, "-C", str(output))
    assert (code, codes, "--force" in printed) == (3, {"file-unwritable"}, True)
    assert (changed.read_text(), gone.exists()) == ("mine", False)
    assert llext("unpack", path, "-C", str(output), "--force")[0] == 0
    assert changed.read_bytes() == (dist / "cortex-m4-gcc/blink.json").read_bytes()


def test_nothing_but_a_file_is_replaced(tmp_path: Path) -> None:
    """A folder where a file belongs stays even with `--force`, and so does a file where a folder belongs."""
    made.dist(tmp_path, ("blink",))
    path = str(made.packed(tmp_path))
    for name, part in (("cortex-m4-gcc/blink.json/x", "is no file"), ("cortex-m4-gcc", "is no folder")):
        output = tmp_path / part
        (output / name).parent.mkdir(parents=True)
        (output / name).write_text("mine")
        before = sorted(output.rglob("*"))
        code, codes, printed = made.refused("unpack", path, "-C", str(output), "--force")
        assert (code, codes, f"what is there {part}" in printed) == (3, {"file-unwritable"}, True), printed
        assert "--force" not in printed
        assert sorted(output.rglob("*")) == before
    code, codes, printed = made.refused("unpack", path, "-C", path)
    assert (code, codes, "is no folder" in printed) == (3, {"file-unwritable"}, True)


def test_unpacking_asks_for_the_keys_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.dist(tmp_path)
    (private, public), (_, other) = made.keys(tmp_path), made.keys(tmp_path, "other.pem")
    path = str(made.packed(tmp_path, "--key", private))
    monkeypatch.chdir(tmp_path)
    assert "which need not be one that you trust" in llext("unpack", path, "-C", "a")[1]
    assert "of `key.pem.pub`" in llext("unpack", path, "-C", "b", "--key", "key.pem.pub")[1]
    (tmp_path / "llext.toml").write_text(f"[pack]\nkey = [{other!r}]\n")
    code, codes, _ = made.refused("unpack", path, "-C", "c")
    assert (code, codes, (tmp_path / "c").exists()) == (15, {"signature-untrusted"}, False)
    assert llext("unpack", path, "-C", "c", "--key", public)[0] == 0


def test_unpacking_follows_no_link(tmp_path: Path) -> None:
    made.dist(tmp_path)
    path, output, elsewhere = made.packed(tmp_path), tmp_path / "out", tmp_path / "elsewhere"
    output.mkdir()
    elsewhere.mkdir()
    (output / "cortex-m4-gcc").symlink_to(elsewhere)
    code, codes, printed = made.refused("unpack", str(path), "-C", str(output), "--force")
    assert (code, codes, "is a symbolic link" in printed) == (3, {"file-unwritable"}, True)
    assert [*elsewhere.iterdir()] == []
    assert sorted(path.name for path in output.iterdir()) == ["cortex-m4-gcc"]


def test_packing_what_was_unpacked_is_the_identity(tmp_path: Path) -> None:
    made.dist(tmp_path)
    private, _ = made.keys(tmp_path)
    options = ("--key", private, "--name", "kit")
    for more in ((), ("--no-debug",)):
        (tmp_path / "again").mkdir(exist_ok=True)
        first = made.packed(tmp_path, *options, *more)
        output = tmp_path / "again" / f"dist{len(more)}"
        assert llext("unpack", str(first), "-C", str(output))[0] == 0
        again = tmp_path / "again.llextpack"
        assert llext("pack", str(output), "-o", str(again), *options, *more)[0] == 0
        assert again.read_bytes() == first.read_bytes()


def test_a_bundle_is_shown(tmp_path: Path) -> None:
    made.dist(tmp_path)
    private, _ = made.keys(tmp_path)
    path = made.packed(tmp_path, "--key", private, "--name", "kit", "--version", "2")
    code, printed = llext("inspect", str(path), "--json")
    facts = json.loads(printed)
    signature = json.loads(made.members(path.read_bytes())["signature.json"])
    assert (code, facts["name"], facts["version"], facts["signed_by"]) == (0, "kit", "2", signature["key"])
    jobs = [
        ("cortex-m33-gcc", "blink"),
        ("cortex-m33-gcc", "meter"),
        ("cortex-m4-gcc", "blink"),
        ("cortex-m4-gcc", "meter"),
    ]
    assert [(each["job"], each["name"]) for each in facts["artifacts"]] == jobs
    code, printed = llext("inspect", str(path))
    assert code == 0
    assert f"kit 2, 4 artifacts, signed with key {signature['key'][:16]}" in " ".join(printed.split())
    assert all(f"{job}/{name}" in printed for job, name in jobs)
    assert all(len(line) <= 80 for line in printed.splitlines()[1:])
