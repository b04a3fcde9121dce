"""``llext debug`` around the session: what it writes, refuses, and how it ends. Oracle: GDB and JSON's own reader."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gdb.sessions import SECONDS, Extension, build, debugged, gdb, session
from llext_tools.errors import UsageError
from llext_tools.gdb.script import quoted, with_configuration
from needs import need

SOURCE = """\
int run(int x)
{
    printk("x %d\\n", x); // print
    return x + 1;
}
LL_EXTENSION_SYMBOL(run);
"""
LAUNCH = ".vscode/launch.json"
OTHER = {"name": "mine", "type": "node", "request": "launch"}


@pytest.fixture(scope="module")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Extension:
    need("gdb-multiarch")
    return build(tmp_path_factory.mktemp("a folder"), SOURCE, "cortex-m4")


def test_files_stay_in_the_folder_that_is_given(extension: Extension, tmp_path: Path) -> None:
    out = tmp_path / "two words" / "out"
    done = session(
        extension, ["break " + extension.at("print"), "continue", "kill"], "--call", "run(3)", "--out", str(out)
    )
    assert "run (x=3)" in done.gdb
    assert (done.llext, done.code) == ("ended by the debugger\n", 0)
    assert sorted(path.name for path in out.iterdir()) == ["ext.elf", "ext.gdb", "host.elf"]


def test_ctrl_c_in_the_terminal_ends_it_and_leaves_nothing_behind(extension: Extension) -> None:
    with debugged(extension, "--call", "run(3)") as (process, script):
        assert Path(script).exists()
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=SECONDS)
    assert (rest, process.returncode) == ("", 130)
    assert not Path(script).parent.exists()


def test_run_that_does_not_wait(extension: Extension) -> None:
    with debugged(extension, "--call", "run(3)", "--no-wait") as (process, _):
        assert process.stdout
        rest = process.stdout.read()  # communicate() would lose what has been read behind the second line
        process.wait(SECONDS)
    assert (rest, process.returncode) == ("x 3\nrun(3) = 4\n", 0)


def test_debugger_that_detaches_lets_the_run_end(extension: Extension) -> None:
    done = session(extension, ["break " + extension.at("print"), "continue", "detach"], "--call", "run(3)")
    assert (done.llext, done.code) == ("x 3\nrun(3) = 4\n", 0)


def test_launch_json_has_what_gdb_needs(extension: Extension, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    Path(LAUNCH).parent.mkdir()
    Path(LAUNCH).write_text(json.dumps({"version": "0.2.0", "configurations": [OTHER], "compounds": []}))
    with debugged(extension, "--vscode", "--no-wait") as (process, _):  # what the next one renews
        process.communicate(timeout=SECONDS)
    with debugged(extension, "--call", "run(3)", "--vscode") as (process, _):
        document = json.loads(Path(LAUNCH).read_text())
        mine = document["configurations"][1]
        address = mine["miDebuggerServerAddress"]
        command = [need(mine["miDebuggerPath"]), "-nx", "-batch", "-iex", "set width 0"]
        for text in [each["text"] for each in mine["setupCommands"]]:
            command += ["-ex", text]
        command += ["-ex", f"file {mine['program']}", "-ex", f"target remote {address}", "-ex", "print x"]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
        assert "run (x=" in shown.stdout
        process.communicate(timeout=SECONDS)
    assert document["configurations"][0] == OTHER
    assert len(document["configurations"]) == 2
    assert (document["version"], document["compounds"]) == ("0.2.0", [])
    assert (mine["type"], mine["MIMode"], mine["name"]) == ("cppdbg", "gdb", "llext: ext")


@pytest.mark.parametrize("text", ["{ // a comment\n}", "[]", '{"configurations": 3}', '{"configurations": [3]}', "{"])
def test_launch_json_that_is_something_else_is_left_alone(text: str) -> None:
    entry: dict[str, Any] = {"name": "llext: ext"}
    with pytest.raises(UsageError) as found:
        with_configuration(text, LAUNCH, entry)
    assert json.dumps(entry) in (found.value.diagnostics[0].help or "")


@pytest.mark.parametrize("text", ["", " \n", "{}"])
def test_launch_json_that_is_empty_is_begun(text: str) -> None:
    document = json.loads(with_configuration(text, LAUNCH, OTHER))
    assert document["configurations"] == [OTHER]


def test_port_that_is_taken_is_refused(extension: Extension) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(AssertionError, match=rf"port {port} of 127.0.0.1 cannot be used"),
            debugged(extension, "--port", str(port)),
        ):
            pass


def test_path_with_special_characters_is_one_word_of_gdb(tmp_path: Path) -> None:
    """Oracle: GDB, which looks for the file under the name that it has understood."""
    for name in ("plain", "two words", 'a "quote"', "back\\slash", "dollar $x", "hash #"):
        path = tmp_path / name
        command = [need("gdb-multiarch"), "-nx", "-batch", "-ex", f"file {quoted(str(path))}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert f"{path}: No such file" in done.stderr, name


def test_gdb_asks_nothing(extension: Extension) -> None:
    """With a terminal of its own it would ask about each file with symbols."""
    import pty

    with debugged(extension, "--call", "run(3)") as (process, script):
        ours, theirs = pty.openpty()
        command = [*gdb(script), "-ex", "print 6 * 7", "-ex", "kill", "-ex", "quit"]
        with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as person:
            os.close(theirs)
            shown = b""
            while b"= 42" not in shown:
                shown += os.read(ours, 1024)
            os.write(ours, b"y\n")
            process.communicate(timeout=SECONDS)
            person.kill()
        os.close(ours)
    assert b"(y or n)" not in shown.partition(b"= 42")[0]
