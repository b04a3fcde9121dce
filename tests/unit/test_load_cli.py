"""``llext load``: its options, what it says, and that nothing makes it fail in an undocumented way.

Oracles: the recorded answers of Zephyr's own loader (tests/conformance, which test_load_cli.py there compares case by
case), Zephyr's ``subsys/llext/Kconfig``, and the exit codes of docs/reference/exit-codes.md. What is printed for people
is in tests/golden/load.txt.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.cases import files
from elfedit import Elf, widen
from llext_tools import cli
from llext_tools.cli.kconfig import parse_size, read_kconfig
from llext_tools.cli.load import split_name
from llext_tools.cli.parser import parser_for
from llext_tools.errors import UsageError
from llext_tools.llext.config import Config
from transcript import llext

KERNEL = {"printk": 0x2010_0101, "puts_k": 0x2010_0201, "ext": 0x2010_0401, "memset": 0x2010_0501}
ARM = files()["ptrs_arm_gcc/e.llext"]
RISCV = files()["rv_dep_ok/p.llext"]
USER = files()["rv_dep_ok/u.llext"]
UNDEFINED = files()["arm_undef_func/e.llext"]  # the C code calls strcmp(NULL, ...)
REFUSED = files()["arm_sec_two_bss/e.llext"]  # -ENOTSUP


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with extensions and a table, the current one."""
    contents = {"arm": ARM, "riscv": RISCV, "user": USER, "undefined": UNDEFINED, "refused": REFUSED}
    for name, data in {**contents, "rv64": widen(RISCV)}.items():
        (tmp_path / f"{name}.llext").write_bytes(data)
    (tmp_path / "kernel.json").write_text(json.dumps({"exports": KERNEL}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(*arguments: str, code: int = 0) -> dict[str, Any]:
    """The document that ``--json`` prints."""
    found, printed = llext("load", *arguments, "--json")
    assert found == code, printed
    document: dict[str, Any] = json.loads(printed)
    return document


def steps(*arguments: str, code: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = load(*arguments, code=code)["steps"]
    return found


def bases(step: dict[str, Any]) -> dict[str, int]:
    return {region["region"]: region["base"] for region in step["regions"]}


def usage(*arguments: str) -> str:
    """The message of a usage error."""
    code, printed = llext("load", *arguments)
    assert code == 2, printed
    return " ".join(printed.split())


# ---- names and places


@pytest.mark.parametrize(
    ("operand", "expected"),
    [
        ("blink.llext", ("blink", "blink.llext")),
        ("build/blink.debug.elf", ("blink", "build/blink.debug.elf")),
        ("blink.o", ("blink", "blink.o")),
        ("blink", ("blink", "blink")),
        (".llext", (".llext", ".llext")),
        ("b=build/blink.llext", ("b", "build/blink.llext")),
        ("b=x=y.llext", ("b", "x=y.llext")),
        ("./x=y.llext", ("x=y", "./x=y.llext")),
    ],
)
def test_name_of_an_extension(operand: str, expected: tuple[str, str]) -> None:
    assert split_name(operand) == expected


def test_place_is_for_the_file_in_front_of_it() -> None:
    first, second = steps("a=arm.llext", "--place", "text=0x20020000", "b=arm.llext", "--place", "TEXT=0x20028000")
    assert (bases(first)["TEXT"], bases(second)["TEXT"]) == (0x2002_0000, 0x2002_8000)


def test_place_in_front_of_all_is_for_the_first_file() -> None:
    first, second = steps("--place", "text=0x20020000,data=536936448", "a=arm.llext", "b=arm.llext")
    assert (bases(first)["TEXT"], bases(first)["DATA"]) == (0x2002_0000, 0x2001_0000)
    assert bases(second)["TEXT"] not in (0, 0x2002_0000)


def test_place_may_name_its_file_and_be_given_twice() -> None:
    places = ["--place", "a:text=0x20020000", "--place", "a:data=0x20021000"]
    first, second = steps("a=arm.llext", "b=arm.llext", *places)
    assert (bases(first)["TEXT"], bases(first)["DATA"]) == (0x2002_0000, 0x2002_1000)
    assert bases(second)["DATA"] < 0x2002_0000


def test_places_that_overlap_bring_a_warning() -> None:
    (step,) = steps("arm.llext", "--place", "text=0x20020000,data=0x20020004")
    assert step["rc"] == 0
    (warning,) = step["diagnostics"]
    assert (warning["code"], warning["severity"]) == ("place-overlap", "warning")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--heap", "0x30000000+8K"], "the file of `arm`"),
        (["--heap", "0xfffff000+8K"], "beyond the addresses of 32 bits"),
        (["--heap", "0x20000000+1024M"], "larger than"),
        (["--buffer", "0xffffffff"], "beyond the addresses of 32 bits"),
        (["--place", "text=0x100000000"], "beyond the addresses of 32 bits"),
        (["--place", "b:text=0x20000000"], "no file is loaded as `b`"),
        (["--place", "text=0x20000000,TEXT=0x20000000"], "two addresses"),
        (["--config", "CONFIG_LLEXT_VENEERS=yes"], "`y` or `n`"),
        (["--config", "CONFIG_LLEXT_HEAP_SIZE=99999999999"], "is a number"),
        (["--config", "CONFIG_MMU_PAGE_SIZE=0"], "power of two"),
        (["--config", "CONFIG_PMP_GRANULARITY=24"], "power of two"),
        (["--config", "CONFIG_64BIT=y", "--arch", "arm"], "no addresses of 64 bits"),
        (["--heap", "0x20000001+8K", "--heap-kind", "memblk"], "blocks"),
        (["--detach", "@x"], "not an address"),
        (["--profile", "zephyr"], "no loader profile"),
        (["--exprots", "kernel.json"], "did you mean `--exports`?"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(arguments: list[str], message: str) -> None:
    assert message in usage("arm.llext", *arguments)


def test_buffers_follow_one_another() -> None:
    """Oracle: the recording's buffers, ``buf`` in tests/conformance/cases.json: 30000000, then 30003000."""
    loaded = steps("riscv.llext", "user.llext", "--exports", "kernel.json")
    assert [step["buffer"] for step in loaded] == [0x3000_0000, 0x3000_3000]
    (moved,) = steps("arm.llext", "--buffer", "0x40000000", "--storage", "persistent")
    in_place = [region for region in moved["regions"] if not region["on_heap"]]
    assert len(in_place) >= 3
    assert all(region["base"] == 0x4000_0000 + region["file_offset"] for region in in_place)


# ---- the firmware


@pytest.mark.parametrize(
    ("arguments", "arch", "bits"),
    [
        (["arm.llext"], "arm", 32),
        (["riscv.llext"], "riscv", 32),
        (["rv64.llext"], "riscv", 64),
        (["kernel.json", "riscv.llext"], "riscv", 32),  # the first file is for no machine
        (["riscv.llext", "--config", "CONFIG_64BIT=y"], "riscv", 64),
        (["rv64.llext", "--arch", "riscv"], "riscv", 32),
        (["rv64.llext", "--config", "CONFIG_RISCV=y"], "riscv", 32),
        (["riscv.llext", "--exports", "arm.toml"], "arm", 32),
        (["arm.llext", "--exports", "slid64.toml"], "riscv", 64),
        (["kernel.json"], "arm", 32),
    ],
)
def test_machine_of_the_firmware(arguments: list[str], arch: str, bits: int) -> None:
    Path("arm.toml").write_text("machine = 40\n[exports]\nprintk = 0x8000\n")
    Path("slid64.toml").write_text("machine = 243\nslid_bits = 64\n[exports]\nprintk = 0x8000\n")
    code, printed = llext("load", *arguments, "--json")
    document = json.loads(printed)
    assert (document["arch"], document["bits"]) == (arch, bits)
    fits = document["steps"][-1]["rc"] == 0
    assert (code == 0) == all(step["rc"] == 0 for step in document["steps"])
    assert fits == (arguments in (["arm.llext"], ["riscv.llext"], ["rv64.llext"], ["kernel.json", "riscv.llext"]))


def test_table_is_taken_as_a_firmware_has_it() -> None:
    """Oracle: the case arm_null_export: what is at address 0 is not found. A firmware may export nothing at all."""
    Path("null.llext").write_bytes(files()["arm_null_export/e.llext"])
    for table in ("[exports]\next = 0\n", "[exports]\n"):
        Path("table.toml").write_text(table)
        assert [step["rc"] for step in steps("null.llext", "--exports", "table.toml", code=5)] == ["-ENODATA"]


def test_export_beyond_the_addresses_is_refused() -> None:
    Path("table.toml").write_text("[exports]\nprintk = 0x100000001\n")
    (found,) = load("arm.llext", "--exports", "table.toml", code=7)["diagnostics"]
    assert (found["code"], found["location"]["file"]) == ("exports-syntax", "table.toml")


def test_options_of_a_build_are_the_firmwares() -> None:
    """Oracle: Zephyr's Kconfig; a ``.config`` has a line for each visible option, also for those that are off."""
    Path(".config").write_text(
        "#\n# Zephyr\n#\nCONFIG_ARM=y\n# CONFIG_LLEXT_HEAP_K_HEAP is not set\nCONFIG_LLEXT_HEAP_MEMBLK=y\n"
        "CONFIG_LLEXT_EXT_HEAP_SIZE=32\nCONFIG_LLEXT_METADATA_HEAP_SIZE=8\nCONFIG_LLEXT_HEAP_MEMBLK_BLOCK_SIZE=256\n"
        "CONFIG_USERSPACE=y\nCONFIG_ARM_MPU=y\nCONFIG_MPU_REQUIRES_POWER_OF_TWO_ALIGNMENT=y\nCONFIG_LLEXT_VENEERS=y\n"
        '# CONFIG_LLEXT_RODATA_NO_RELOC is not set\nCONFIG_BOARD="qemu"\nCONFIG_LLEXT_IMPORT_ALL_GLOBALS=y\n'
    )
    kconfig = read_kconfig([".config", "LLEXT_IMPORT_ALL_GLOBALS=n"])
    assert (kconfig.arch, kconfig.bits) == ("arm", 0)
    assert kconfig.config("plain") == Config(
        heap="memblk",
        heap_size=32 * 1024,
        metadata_heap_size=8 * 1024,
        memblk_block_size=256,
        protection="mpu-pow2",
        veneers="v7m",
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], Config(heap="plain")),
        (["CONFIG_LLEXT_HEAP_SIZE=8"], Config(heap="k_heap", heap_size=8192)),
        (["LLEXT_HEAP_DYNAMIC=y"], Config(heap="dynamic")),
        (["LLEXT_VENEERS=y", "ARMV6_M_ARMV8_M_BASELINE=y"], Config(heap="plain", veneers="v6m")),
        (["LLEXT_VENEERS=y", "LLEXT_VENEERS=n"], Config(heap="plain")),
        (["USERSPACE=y", "ARM_MPU=y"], Config(heap="plain", protection="mpu-32")),
        (["USERSPACE=y", "RISCV_PMP=y", "PMP_GRANULARITY=8"], Config(heap="plain", protection="pmp", granularity=8)),
        (["USERSPACE=y", "RISCV_PMP=y"], Config(heap="plain", protection="pmp")),
        (["ARM_MPU=y"], Config(heap="plain")),
        (["MMU=y", "MMU_PAGE_SIZE=0x1000"], Config(heap="plain", protection="page", granularity=4096)),
        (["HARVARD=y", "LLEXT_INSTR_HEAP_SIZE=6"], Config(heap="k_heap", harvard=True, instr_heap_size=6144)),
        (["LLEXT_EXPORT_BUILTINS_BY_SLID=y"], Config(heap="plain", export_builtins_by_slid=True)),
    ],
)
def test_options_one_by_one(options: list[str], expected: Config) -> None:
    assert read_kconfig(options).config("plain") == expected


def test_wrong_value_in_a_file_is_named_with_its_line() -> None:
    Path(".config").write_text("CONFIG_LLEXT=y\nCONFIG_LLEXT_HEAP_SIZE=8K\n")
    assert "--> .config:2" in usage("arm.llext", "--config", ".config")


@pytest.mark.parametrize(("text", "size"), [("0", 0), ("8K", 8192), ("1m", 1 << 20), ("0x10", 16), ("0x1k", 1024)])
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text, "--heap") == size


@pytest.mark.parametrize("text", ["", "K", "8 K", "-1", "8KB", "0x", "1e3", "\uff11"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text, "--heap")


@pytest.mark.parametrize("kind", ["k_heap", "memblk", "dynamic", "plain", "counted"])
def test_heaps(kind: str) -> None:
    """A heap of each kind gives all memory back."""
    document = load("arm.llext", "--heap", "0x20010000+16K", "--heap-kind", kind, "--unload", "arm")
    loaded, unloaded = document["steps"]
    assert all(0x2001_0000 <= base < 0x2001_4000 for base in bases(loaded).values())
    assert (unloaded["rc"], unloaded["allocations"]) == (0, 0)
    assert all(heap["used"] == heap["allocations"] == 0 for heap in document["heaps"])
    if kind == "memblk":
        assert all(base % 32 == 0 for base in bases(loaded).values())


@pytest.mark.parametrize(("kind", "step"), [("none", 1), ("mpu-32", 32), ("mpu-pow2", 32), ("pmp", 4), ("page", 4096)])
def test_protection(kind: str, step: int) -> None:
    """Oracle: the minimum of an Arm MPU, the default of CONFIG_PMP_GRANULARITY and of CONFIG_MMU_PAGE_SIZE."""
    (loaded,) = steps("arm.llext", "--protection", kind)
    assert bases(loaded)["TEXT"] % max(step, 4) == 0
    assert (bases(loaded)["DATA"] - bases(loaded)["TEXT"]) % max(step, 4) == 0
    assert bases(loaded)["DATA"] - bases(loaded)["TEXT"] >= max(step, 28)


def test_heap_too_small_for_its_own_tables_serves_nothing() -> None:
    """As the recorded cases with a tiny heap: -ENOMEM."""
    document = load("arm.llext", "--heap", "0x20000000+40", code=4)
    assert [step["rc"] for step in document["steps"]] == ["-ENOMEM"]
    assert "too small" in document["diagnostics"][0]["message"]


def test_section_is_detached_by_name_or_offset() -> None:
    """Oracle: the recorded case, whose predicate picks the section at 56 of the file, which stays in the buffer."""
    Path("d.llext").write_bytes(files()["arm_detached_writable/e.llext"])
    arguments = ["d.llext", "--exports", "kernel.json", "--storage", "writable"]
    by_name, by_offset = (steps(*arguments, "--detach", each) for each in (".text.far", "@56"))
    assert by_name == by_offset
    (far,) = (section for section in by_name[0]["sections"] if section["name"] == ".text.far")
    assert far["addr"] == 0x3000_0000 + 56
    assert 52 + by_name[0]["regions"][0]["size"] < 56, "TEXT goes on without it"


# ---- verdicts


def test_refused_load_does_not_end_the_run() -> None:
    first, second, third = steps("refused.llext", "arm.llext", "--unload", "refused", code=4)
    assert (first["rc"], second["rc"], third["rc"]) == ("-ENOTSUP", 0, "no handle")
    assert first["diagnostics"][0]["code"] == "region-nobits"
    assert first["diagnostics"][0]["location"]["file"] == "refused.llext"
    assert first.keys() == second.keys()


def test_exit_code_is_that_of_the_first_failure() -> None:
    arguments = ["kernel.json", "refused.llext"]
    assert [step["rc"] for step in steps(*arguments, "--arch", "arm", code=3)] == ["-ENOEXEC", "-ENOTSUP"]
    assert [step["rc"] for step in steps(*reversed(arguments), code=4)] == ["-ENOTSUP", "-ENOEXEC"]


def test_nothing_follows_what_is_undefined() -> None:
    arguments = ["a=arm.llext", "undefined.llext", "b=arm.llext", "--exports", "kernel.json", "--unload", "a"]
    assert [step["rc"] for step in steps(*arguments, code=4)] == [0, "undefined"]
    code, printed = llext("load", *arguments)
    assert code == 4
    assert "2 left out" in printed
    assert "heap:" not in printed


def test_name_that_is_loaded_already_only_counts() -> None:
    """Oracle: the case arm_name_twice: 0, 1, 2, then 2, 1, 0. Names are compared in 15 characters."""
    name = "a" * 15
    document = load(f"{name}b=arm.llext", f"{name}c=kernel.json", "--arch", "arm", *["--unload", name] * 3)
    assert [step["rc"] for step in document["steps"]] == [0, 1, 1, 0, "no handle"]
    assert [step["use_count"] for step in document["steps"]] == [1, 2, 1, 0, 0]


def test_log_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    levels = []
    for option in ([], ["-v"], ["-vv"]):
        assert cli.main(["load", "user.llext", "riscv.llext", "--exports", "kernel.json", "--json", *option]) == 5
        captured = capsys.readouterr()
        document = json.loads(captured.out)
        lines = captured.err.splitlines()
        if option:
            assert lines == [line for step in document["steps"] for line in step["log"]]
        levels.append({line.partition(" ")[0] for step in document["steps"] for line in step["log"]})
    assert "<err>" in levels[0]
    assert levels[0] < levels[1] < levels[2]
    assert levels[2] - levels[1] == {"<dbg>"}


# ---- operands between options


@pytest.mark.parametrize(
    "arguments",
    [
        ["a", "b", "--unload", "c", "--json"],
        ["--json", "a", "--unload", "c", "b"],
        ["--unload=c", "--json", "--", "a", "b"],
        ["a", "--unload=c", "--json", "b"],
    ],
)
def test_files_may_stand_between_options(arguments: list[str]) -> None:
    args = parser_for("load").parse(arguments)
    assert (args.files, args.unload, args.json) == (["a", "b"], ["c"], True)


@pytest.mark.parametrize("arguments", [["--json"], ["a", "--unload"], ["a", "--unload", "--json"], ["a", "--jsn"]])
def test_incomplete_command_line_is_refused(arguments: list[str]) -> None:
    with pytest.raises(UsageError):
        parser_for("load").parse(arguments)


# ---- whatever the input

EXIT_CODES = {0, 2, 3, 4, 5, 6, 7}
EDITED = {"arm": ARM, "riscv": RISCV, "riscv64": widen(RISCV)}
PLACES = {kind: [place for _, place in Elf(data).fields()] for kind, data in EDITED.items()}
OPTIONS = (
    ["--storage", "writable"],
    ["--storage", "persistent", "--protection", "mpu-32"],
    ["--no-peek"],
    ["--no-relocate", "--config", "LLEXT_IMPORT_ALL_GLOBALS=y"],
    ["--pre-located", "--storage", "writable"],
    ["--heap", "0x20000000+2K", "--protection", "mpu-pow2"],
    ["--heap", "0x20000000+8K", "--heap-kind", "memblk", "--protection", "page"],
    ["--config", "LLEXT_VENEERS=y", "--config", "LLEXT_RODATA_NO_RELOC=y", "--config", "HARVARD=y"],
    ["--profile", "zephyr-4.2", "--protection", "pmp"],
    ["--profile", "abi"],
)


def verdict(data: bytes, *options: str) -> None:
    """Load a file and unload it: a documented exit code, and a document in the documented form."""
    Path("bad.llext").write_bytes(data)
    code, printed = llext("load", "bad.llext", "--exports", "kernel.json", "--unload", "bad", "--json", *options)
    assert code in EXIT_CODES, printed
    step, *rest = json.loads(printed)["steps"]
    assert isinstance(step["rc"], int) or re.fullmatch(r"-E[A-Z]+|undefined", step["rc"])
    assert (step["rc"] == 0) == (code == 0) == all(d["severity"] == "warning" for d in step["diagnostics"])
    assert [each["rc"] for each in rest] == ([] if step["rc"] == "undefined" else [0 if code == 0 else "no handle"])


@pytest.mark.parametrize("kind", EDITED)
def test_every_third_prefix_of_an_object(kind: str) -> None:
    data = EDITED[kind]
    for size in range(0, len(data), 3):
        verdict(data[:size], *OPTIONS[size % len(OPTIONS)])


@given(
    kind=st.sampled_from(sorted(EDITED)),
    edits=st.lists(
        st.tuples(st.integers(0, 1000), st.sampled_from([0, 1, 2, 3, 4, 8, 0x1000, 1 << 31, -1, -8]) | st.integers(0)),
        max_size=3,
    ),
    options=st.sampled_from(OPTIONS),
)
def test_any_field_of_an_object(kind: str, edits: list[tuple[int, int]], options: list[str]) -> None:
    elf = Elf(EDITED[kind])
    for which, value in edits:
        elf.put(PLACES[kind][which % len(PLACES[kind])], value)
    verdict(bytes(elf), *options)
