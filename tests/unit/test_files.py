"""Helpers around files. Oracle: the system, which is asked to do what is asked about."""

from __future__ import annotations

import errno
import os
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llext_tools.errors import UsageError
from llext_tools.files import is_utf8, reason, spare, spare_other, toml_fault, write_cure


@pytest.mark.parametrize(
    "output", ["a", "./a", "sub/../a", "linked", "hard", "sub/up/a", "b", "A", "a.", "sub", "nowhere/a", "", "\0"]
)
def test_no_file_that_is_read_is_written_over(output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: whether writing there changes what is read."""
    monkeypatch.chdir(tmp_path)
    read = Path("a")
    read.write_text("read", encoding="utf-8")
    Path("linked").symlink_to("a")
    os.link("a", "hard")
    Path("sub").mkdir()
    Path("sub/up").symlink_to("..")
    refused = False
    try:
        spare(output, ["nowhere", "sub", "\0", read], "llext check: --output")
    except UsageError as error:
        refused = True
        assert error.diagnostics[0].message == f"llext check: --output: `{output}` is one of the files that are read"
    try:
        Path(output).write_text("written", encoding="utf-8")
    except (OSError, ValueError):
        pass
    assert refused == (read.read_text(encoding="utf-8") != "read")


def test_only_files_of_a_kind_are_replaced(tmp_path: Path) -> None:
    kind, path, linked = re.compile(rb"\s*<kind>"), tmp_path / "a", tmp_path / "link"
    linked.symlink_to(path)

    def refused(output: str | Path) -> bool:
        try:
            spare_other(output, kind, "thing", "--json")
        except UsageError as error:
            said = f"--json: `{output}` is there already, and it is no thing"
            assert [each.message for each in error.diagnostics] == [said]
            return True
        return False

    assert not any(refused(output) for output in (path, linked, tmp_path, "", "\0", os.devnull))
    for text, other in (("", False), ("\n <kind>...", False), ("kind", True), ("other <kind>", True), ("\0", True)):
        path.write_text(text, encoding="utf-8")
        assert (refused(path), refused(linked)) == (other, other), text


@pytest.mark.parametrize(
    ("path", "number", "cure"),
    [
        ("there", None, ""),
        ("nowhere/a", errno.ENOENT, "make the folder `nowhere` first"),
        ("sub/no/where/a", errno.ENOENT, "make the folder `sub/no/where` first"),
        ("", errno.ENOENT, ""),
        ("there/a", errno.ENOTDIR, "what stands before the last `/` has to be a folder"),
        ("sub", errno.EISDIR, "name a file in it"),
        ("x" * 5000, errno.ENAMETOOLONG, "choose a shorter name"),
        ("/dev/full", errno.ENOSPC, "make room, or name one on another disk"),
        ("/proc/x", errno.ENOENT, "choose another folder"),
    ],
)
def test_what_cannot_be_written_is_cured(
    path: str, number: int | None, cure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = {"/dev/full": "/dev/full", "/proc/x": "/proc/self"}.get(path, os.sep)
    if not os.path.exists(needed):
        pytest.skip(f"needs {needed}")
    monkeypatch.chdir(tmp_path)
    Path("there").touch()
    Path("sub").mkdir()
    failure = None
    try:
        with open(path, "w", encoding="utf-8", opener=lambda name, _: os.open(name, os.O_WRONLY | os.O_CREAT)) as file:
            file.write("text")
    except OSError as error:
        failure = error
    assert getattr(failure, "errno", None) == number
    if failure:
        assert write_cure(failure, path) == cure
    if found := re.search("make the folder `(.*)` first", cure):
        os.makedirs(found[1])
        Path(path).write_text("text", encoding="utf-8")


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.EACCES, "permissions"),
        (errno.EPERM, "permissions"),
        (errno.EDQUOT, "room,"),
        (errno.EROFS, "disk"),
        (errno.EEXIST, "another"),
    ],
)
def test_cures_of_what_no_test_can_bring_about(number: int, word: str) -> None:
    assert word in write_cure(OSError(number, os.strerror(number)), "a").split()
    assert write_cure(OSError(errno.EIO, os.strerror(errno.EIO)), "a") == "", "nothing is known"


@given(st.text(st.characters(), max_size=8) | st.binary(max_size=8).map(os.fsdecode))
def test_whether_a_text_is_utf8(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        assert not is_utf8(text)
    else:
        assert is_utf8(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nb = \nc = 2\n", 2),
        ("a = 1\na = 2\n", 2),
        ("a\n", 1),
        ("[table\n", 1),
        ("\n\na = 'x\n", 3),
        ("a = 1\nb = [1,\n\n", 3),
        ('a = """\n\n', 2),
    ],
)
def test_the_line_that_is_no_toml(text: str, line: int) -> None:
    """Oracle: the text, in which one line is wrong, or the last one where the end comes too soon."""
    with pytest.raises(tomllib.TOMLDecodeError) as failure:
        tomllib.loads(text)
    message, found = toml_fault(failure.value, text.count("\n"))
    assert found == line
    assert str(failure.value).lower().startswith(message.lower())
    assert message[0].islower()
    assert not re.search(r"\(at ", message)


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_a_reason_stands_in_a_sentence(number: int) -> None:
    text = os.strerror(number)
    found = reason(OSError(number, text, "a"))
    assert found.lower() == text.lower().rstrip(".")
    assert found[0] == text[0].lower()
