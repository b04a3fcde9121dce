"""The remote protocol without GDB: what no well-behaved client sends, and who comes and goes.

Oracle: the GDB manual, "Remote Serial Protocol", and what the five instructions of the program do.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gdb.client import CODE, DATA, END, LOOP, LR, PC, PROGRAM, R3, RETURN, Client, Running
from llext_tools.gdb.packets import LARGEST
from llext_tools.gdb.program import Thread
from llext_tools.gdb.stub import KilledError
from llext_tools.machine.protocol import Stop

ALL = 17  # r0 to r12, sp, lr, pc, xpsr


@pytest.fixture
def program() -> Iterator[Running]:
    with Running() as running:
        yield running


@pytest.fixture
def client(program: Running) -> Client:
    return program.connect()


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    """For what changes nothing."""
    with Running() as running:
        yield running.connect()


def finish(client: Client) -> None:
    """Let the program end."""
    client.ask(f"P{R3:x}=01000000")
    client.send("c")


def is_alive(client: Client) -> bool:
    return len(client.ask("g")) == 8 * ALL


def test_step_continue_and_registers(program: Running, client: Client) -> None:
    assert client.ask("?").startswith("T05")
    assert client.register(PC) == CODE
    assert client.ask("s").startswith("T05")
    assert client.ask("vCont;s:1").startswith("T05")
    assert (client.register(0), client.register(PC)) == (2, LOOP)
    assert client.ask(f"Z0,{END:x},2") == "OK"
    client.ask(f"P{R3:x}=01000000")
    assert client.ask("c").startswith("T05")
    assert client.register(PC) == END
    client.send("c")
    assert program.end() == Stop(reason="trap", pc=RETURN)


def test_step_inside_a_range_ends_outside_of_it(client: Client) -> None:
    assert client.ask(f"vCont;r{CODE:x},{LOOP:x}:1").startswith("T05")
    assert client.register(PC) == LOOP


def test_breakpoints_are_reported_by_their_kind_to_those_who_know_it(client: Client) -> None:
    assert client.ask(f"Z1,{LOOP:x},2") == "OK"
    assert "hwbreak" not in client.ask("c")
    assert "swbreak+" in client.ask("qSupported:multiprocess+;swbreak+;hwbreak+")
    assert "hwbreak:;" in client.ask("c")
    assert client.ask(f"z1,{LOOP:x},2") == "OK"
    assert client.ask(f"Z0,{LOOP:x},2") == "OK"
    assert "swbreak:;" in client.ask("c")


def test_memory(client: Client) -> None:
    assert client.ask(f"m{CODE:x},a") == PROGRAM.hex()
    assert client.ask(f"M{DATA:x},4:01020304") == "OK"
    assert client.ask(b"X%x,3:}\x03}\x04}\x5d" % (DATA + 4)) == "OK", "# $ and } are sent as } and the byte ^ 0x20"
    assert client.ask(f"m{DATA:x},8") == "0102030423247d00"
    assert client.ask(f"m{DATA + 0xFFE:x},8") == "0000", "as much as there is"
    assert len(client.ask(f"m{DATA:x},ffffffffffffffff")) <= LARGEST
    for outside in (0, 0x3000_0000, (1 << 64) - 1):
        assert client.ask(f"m{outside:x},4") == "E0e"
        assert client.ask(f"M{outside:x},1:00") == "E0e"
    assert client.ask(f"M{DATA + 0xFFE:x},4:ffffffff") == "E0e"
    assert client.ask(f"m{DATA + 0xFFE:x},2") == "0000", "nothing was written"


def test_code_that_is_written_runs(program: Running, client: Client) -> None:
    """The program has run there: what was translated is forgotten."""
    client.send("c")
    client.interrupt()
    assert client.answer().startswith("T02")
    assert client.ask(f"M{LOOP:x},2:7047") == "OK"  # bx lr
    assert client.ask(f"Pf={CODE.to_bytes(4, 'little').hex()}") == "OK"
    client.send("c")
    assert program.end() == Stop(reason="trap", pc=RETURN)
    assert program.machine.get("r0") == 2


@pytest.mark.parametrize(
    "payload",
    [
        *(
            "m",
            "m1",
            "m,",
            "mzz,1",
            "m1,zz",
            "m-1,1",
            f"m{'f' * 17},1",
            "M0,1",
            "M0,2:00",
            "M0,1:0",
            "M0,1:zz",
            "X0,2:a",
        ),
        *(
            "p",
            "pff",
            "pzz",
            "P",
            "P0",
            "P0=",
            "P0=00",
            "P0=zz",
            f"P0={'0' * 18}",
            "G",
            "Gzz",
            "Z",
            "Z0",
            "Z9,0,1",
            "Z0,x,1",
        ),
        *(
            "z",
            "z2,zz,1",
            "Z2,0,0",
            f"Z0,{'f' * 16},2",
            f"Z4,{1 << 32:x},1",
            f"Z2,0,{1 << 40:x}",
            "H",
            "Hgzz",
            "Hg7",
            "T",
            "T7",
            "Tzz",
            "szz",
            "czz",
            "C",
            "Czz",
        ),
        *("vCont;", "vCont;x", "vCont;s:zz", "vCont;C", "vCont;r1", "qRcmd,zz", "qRcmd,ff", "qThreadExtraInfo,9"),
        *("qXfer:features:read:target.xml:", "qXfer:features:read:target.xml:0", "qXfer:features:read:other.xml:0,10"),
        *("qXfer:threads:read::zz,1",),
    ],
)
def test_malformed_request_is_an_error_and_nothing_else(payload: str, shared: Client) -> None:
    before = shared.ask("g")
    answer = shared.ask(payload)
    assert answer.startswith("E"), answer
    assert len(answer) == 3
    assert shared.ask("g") == before


@pytest.mark.parametrize(
    "payload", ["", "!", "vMustReplyEmpty", "vFile:open:2f,0,0", "qOffsets", "qCRC:0,1", "R00", "i"]
)
def test_unknown_request_has_an_empty_answer(payload: str, shared: Client) -> None:
    assert shared.ask(payload) == ""


def test_damaged_packets_are_asked_for_again(program: Running) -> None:
    client = program.connect(quiet=False)
    for damaged in (b"$qC#00", b"$qC#zz", b"$#01", b"$" + b"a" * (LARGEST + 1) + b"#00"):
        client.socket.sendall(damaged)
        assert client.byte() == b"-"
    client.send("qC")
    assert client.byte() == b"+"
    assert client.answer() == "QC1"
    client.socket.sendall(b"-")
    assert client.answer() == "QC1", "once more"
    client.socket.sendall(b"++garbage$qC$qfThre$qC#b4")
    assert client.byte() == b"+"
    assert client.answer() == "QC1", "a packet ends where the next one begins"


def test_packet_that_is_too_long_is_refused(client: Client) -> None:
    assert client.ask("m" + "0" * LARGEST) == "E16"
    assert is_alive(client)


def test_too_many_points_are_refused(client: Client) -> None:
    answers = [client.ask(f"Z0,{CODE + 0x100 + i:x},2") for i in range(300)]
    assert set(answers) == {"OK", "E1c"}
    assert {client.ask(f"Z2,{DATA + i:x},1") for i in range(300)} == {"OK", "E1c"}
    finish(client)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.sampled_from(
        ["g", "G", "p", "P", "m", "M", "X", "Z", "z", "H", "T", "q", "Q", "v", "qXfer:", "qRcmd,", "vCont;r", "\x00"]
    ),
    rest=st.binary(max_size=40),
)
def test_nothing_that_is_sent_ends_the_connection(start: str, rest: bytes, shared: Client) -> None:
    payload = start.encode() + bytes(byte for byte in rest if byte not in b"#$\x03")
    shared.ask(payload)
    assert shared.ask("qC") == "QC1"


def test_interrupt_and_packets_while_it_runs(program: Running, client: Client) -> None:
    client.send("c")
    client.send("qC")  # waits
    client.interrupt()
    client.interrupt()
    assert client.answer().startswith("T02")
    assert client.answer() == "QC1"
    assert client.register(PC) in (LOOP, LOOP + 2)
    finish(client)
    assert program.end() == Stop(reason="trap", pc=RETURN)


def test_next_client_finds_the_program_where_the_last_one_left_it(program: Running) -> None:
    first = program.connect()
    first.ask("s")
    first.ask(f"Z0,{LOOP:x},2")
    first.socket.sendall(b"$half a pack")
    first.socket.close()
    second = program.connect()
    assert second.register(PC) == CODE + 2
    finish(second)
    assert program.end() == Stop(reason="trap", pc=RETURN), "the first one's breakpoint has gone with it"


def test_run_goes_on_without_the_client_and_halts_for_the_next(program: Running) -> None:
    first = program.connect()
    first.send("c")
    first.socket.close()
    second = program.connect()
    assert second.ask("?").startswith("T05")
    assert second.register(PC) in (CODE, CODE + 2, LOOP, LOOP + 2)
    finish(second)
    assert program.end() == Stop(reason="trap", pc=RETURN)


def test_second_client_is_sent_away(program: Running, client: Client) -> None:
    client.send("c")
    other = program.connect(quiet=False)
    assert other.byte() == b""
    client.interrupt()
    assert client.answer().startswith("T02")


def test_detached_program_ends_by_itself(program: Running, client: Client) -> None:
    client.ask(f"Z0,{LOOP:x},2")
    client.ask(f"P{R3:x}=01000000")
    assert client.ask("D") == "OK"
    assert client.byte() == b""
    assert program.end() == Stop(reason="trap", pc=RETURN)


@pytest.mark.parametrize("payload", ["k", "vKill;1"])
def test_client_can_end_the_program(payload: str, program: Running, client: Client) -> None:
    client.send(payload)
    assert isinstance(program.end(), KilledError)


def test_program_that_does_not_wait() -> None:
    with Running(wait=False) as running:
        client = running.connect()
        assert client.register(PC) in (CODE, CODE + 2, LOOP, LOOP + 2)
        finish(client)
        assert running.end() == Stop(reason="trap", pc=RETURN)


def test_threads() -> None:
    waiting = Thread(2, "worker <1>", lambda: {"r0": 0x1234, "sp": DATA, "pc": LOOP}, "waits & sees")
    with Running([Thread(1, "main"), waiting]) as running:
        client = running.connect()
        assert client.ask("qfThreadInfo") == "m1,2"
        assert client.ask("qsThreadInfo") == "l"
        assert bytes.fromhex(client.ask("qThreadExtraInfo,2")).decode() == "worker <1>: waits & sees"
        assert '<thread id="2" name="worker &lt;1&gt;">waits &amp; sees</thread>' in client.ask(
            "qXfer:threads:read::0,1000"
        )
        assert (client.ask("T1"), client.ask("T2"), client.ask("T3")) == ("OK", "OK", "E03")
        assert client.ask("Hg2") == "OK"
        assert (client.register(0), client.register(PC)) == (0x1234, LOOP)
        assert client.ask(f"p{LR:x}") == "x" * 8, "not known"
        assert client.ask("P0=00000000") == "E0e", "only the thread with the CPU can be changed"
        assert client.ask("Hg0") == "OK"
        assert client.register(PC) == CODE
        finish(client)
        assert running.end() == Stop(reason="trap", pc=RETURN)


def test_a_name_from_the_target_is_text_for_xml_and_a_terminal() -> None:
    """Oracle: an XML parser, which takes no control characters."""
    with Running([Thread(1, "main"), Thread(2, "a\x01\x1b]0;b", lambda: {"pc": LOOP}, "waits")]) as running:
        client = running.connect()
        threads = ET.fromstring(client.ask("qXfer:threads:read::0,1000")[1:])
        assert [each.get("name") for each in threads] == ["main", r"a\x01\x1b]0;b"]
        assert bytes.fromhex(client.ask("qThreadExtraInfo,2")).decode() == r"a\x01\x1b]0;b: waits"
        finish(client)
        assert running.end() == Stop(reason="trap", pc=RETURN)


def test_description_is_read_in_parts(shared: Client) -> None:
    whole, offset = "", 0
    while True:
        answer = shared.ask(f"qXfer:features:read:target.xml:{offset:x},100")
        whole += answer[1:]
        offset += 0x100
        if answer[0] == "l":
            break
    assert whole.startswith("<?xml")
    assert whole.rstrip().endswith("</target>")
    assert whole.count("<reg ") == ALL


def test_monitor(shared: Client) -> None:
    def monitor(text: str) -> str:
        return bytes.fromhex(shared.ask(f"qRcmd,{text.encode().hex()}")).decode()

    assert "monitor output" in monitor("help") == monitor("")
    assert monitor("output") == monitor("out") == "printed\n"
    assert monitor("nonsense").startswith("there is no `monitor nonsense`")


def test_devices_see_what_is_read_and_written(program: Running, client: Client) -> None:
    seen: list[tuple[int, ...]] = []

    def read(offset: int, size: int) -> int:
        seen.append((offset, size))
        if offset >= 0x100:
            raise ValueError("there is nothing")
        return 0x11 * size

    start = 0x4000_0000
    program.machine.map_io(start, 0x1000, read, lambda offset, size, value: seen.append((offset, size, value)))
    assert client.ask(f"m{start + 8:x},4") == "44000000"
    assert client.ask(f"m{start:x},2") == "2200"
    assert client.ask(f"m{start + 0xF8:x},10") == "4400000044000000", "up to what the device refuses"
    assert client.ask(f"m{start + 0x100:x},1") == "E0e"
    assert client.ask(f"M{start + 4:x},4:78563412") == "OK"
    assert seen == [(8, 4), (0, 2), (0xF8, 4), (0xFC, 4), (0x100, 4), (0x100, 1), (4, 4, 0x12345678)]


def test_breakpoints_outlive_a_rollback(program: Running, client: Client) -> None:
    before = program.machine.snapshot()
    assert client.ask(f"Z0,{LOOP:x},2") == "OK"
    program.machine.rollback(before)
    assert "T05" in client.ask("c")
    assert client.register(PC) == LOOP
    assert client.ask(f"z0,{LOOP:x},2") == "OK"
    finish(client)
    assert program.end() == Stop(reason="trap", pc=RETURN)
