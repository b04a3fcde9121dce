"""Extensions as Python objects. Oracle: what the C code computes, by the compiler."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.compiled import compile_c
from llext_tools import arch
from llext_tools.cli import main
from llext_tools.cli.render import Paint, render
from llext_tools.errors import UsageError
from llext_tools.testing import Extension, ExtensionError

pytestmark = pytest.mark.emulator

SOURCE = (Path(__file__).parent / "everything.c").read_text(encoding="utf-8")
TARGETS = ("cortex-m0plus", "cortex-m7", "rv32imafc", "rv64gc")


@pytest.fixture(scope="module", params=TARGETS)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Extension]:
    target = arch.target(request.param)
    obj = compile_c(SOURCE, target, "gcc", tmp_path_factory.mktemp("everything"), name="everything")
    extension = Extension.load(obj.path, target=target.name)
    yield extension
    extension.close()


@pytest.fixture
def ext(loaded: Extension) -> Extension:
    loaded.reset()
    return loaded


# ---- arguments and results


def test_integers(ext: Extension) -> None:
    assert ext.add(2, -5) == -3
    assert ext.add(a=2, b=5) == ext.add(2, b=5) == 7
    assert ext.i8(-128) == -128
    assert ext.u64((1 << 64) - 1) == (1 << 64) - 1
    assert ext.mixed(-1, 200, -3000, 60000, 1 << 40) == -1 + 200 - 3000 + 60000 + (1 << 40)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("i8", 128, "128 does not fit into `signed char`, which has -128 to 127"),
        ("add", 1 << 31, "`a` of `add`: 2147483648 does not fit into `int`"),
        ("u64", -1, "-1 does not fit into `uint64_t`, which has 0 to 18446744073709551615"),
        ("halff", 1e39, "1e.39 does not fit into `float`"),
    ],
)
def test_what_does_not_fit_is_refused(ext: Extension, name: str, value: Any, said: str) -> None:
    with pytest.raises(OverflowError, match=said):
        ext.call(name, *[value, 0][: 2 if name == "add" else 1])


def test_floats_and_bools(ext: Extension) -> None:
    assert ext.half(3.0) == 1.5
    assert ext.halff(5) == 2.5
    assert math.isinf(ext.half(math.inf))
    assert ext.no(True) is False
    assert ext.no(0) is True
    assert ext.polynomial(1.0, 2.0, 3.0, 4.0, 5.0, 2) == 1.0 + 2 * 2 + 3 * 4 + 4 * 8 + 5 * 16


def test_enumerations(ext: Extension) -> None:
    assert ext.after("RED") == 5
    assert ext.after(5).name == "BLUE"
    with pytest.raises(TypeError, match="has no `GREY`"):
        ext.after("GREY")


def test_texts_and_pointers(ext: Extension) -> None:
    assert ext.length("four") == 4
    assert ext.length(b"a\0b") == 1
    assert ext.name_of(1).text == "one"
    assert ext.name_of(1) == "one" == str(ext.name_of(1))
    assert ext.name_of(1) != "two"
    assert ext.name_of(0) != "one"
    assert not ext.name_of(0)
    assert ext.name_of(0) == 0


def test_a_bytearray_comes_back_changed(ext: Extension) -> None:
    buffer = bytearray(6)
    assert ext.fill(buffer, 4) == 4
    assert buffer == b"\1\2\3\4\0\0"


def test_structures(ext: Extension) -> None:
    moved = ext.move({"x": 1, "y": 2, "name": "here"}, 3)
    assert (moved.x, moved.y, moved.name.text) == (4, -1, "here")
    assert ext.move((5, 6), 1)[...] == {"x": 6, "y": 5, "name": 0}
    point = ext.host.alloc("struct point", {"x": 10})
    ext.shift(point, 4)
    assert point.x == 14
    assert ext.move(point, 1).x == 15
    assert ext.sum([1, 2, 3, 4], 4) == 10


def test_a_view_of_a_number_is_passed_by_its_address(ext: Extension) -> None:
    number = ext.host.alloc("int", 123456)
    assert ext.peek(number) == 123456
    assert ext.sum(number, 1) == 123456
    assert ext.peek(ext.symbols["step"]) == ext.step


def test_callbacks(ext: Extension) -> None:
    seen = []

    def step(n: int, text: Any) -> int:
        seen.append((n, text.text))
        return int(ext.add(n, 100))  # back into the extension

    assert ext.apply(step, 3) == 102 + 101 + 100
    assert seen == [(2, "step"), (1, "step"), (0, "step")]
    assert ext.apply(ext.symbols["own_step"], 3) == 2 + 1 + 0
    address = ext.host.callback(lambda n, _text: -n, "int step(int n, const char *text)")
    assert ext.apply(address, 2) == -1


def test_an_error_in_a_callback_comes_through(ext: Extension) -> None:
    def step(_n: int, _text: object) -> int:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ext.apply(step, 3)
    assert ext.add(1, 1) == 2


def test_a_callback_may_survive_a_fault(ext: Extension) -> None:
    def step(n: int, _text: object) -> int:
        with pytest.raises(ExtensionError, match="where there is no memory"):
            ext.peek(0)
        return n

    assert ext.apply(step, 4) == 3 + 2 + 1 + 0


def test_more_arguments_than_parameters(ext: Extension) -> None:
    assert ext.total(3, 10, 20, 30) == 60
    with pytest.raises(TypeError, match=r"`int total\(int count, ...\)` takes 1 argument or more, not 0"):
        ext.total()


# ---- names


def test_variables(ext: Extension) -> None:
    assert (ext.step, ext.counter_step) == (5, 5)
    ext.step = 7
    assert ext.counter_step == 7
    assert ext.scaled(6) == 42
    assert ext.history[2] == 3
    ext.history[2] = -3
    assert ext.history[...] == [1, 2, -3, 4]
    ext.history = [9, 8, 7, 6]
    assert ext.oldest() == 9
    assert ext.origin.name.text == "zero"
    assert ext.ratio == 0.25


def test_static_functions(ext: Extension) -> None:
    assert ext.scaled(2) == 10


def test_names_that_are_not_there(ext: Extension) -> None:
    with pytest.raises(
        AttributeError, match=r"everything.debug.elf has no function or variable `ad`: did you mean `add`"
    ):
        _ = ext.ad
    with pytest.raises(AttributeError, match="has no function or variable `stop`"):
        ext.stop = 3
    with pytest.raises(OverflowError, match="`step`: 2147483648 does not fit"):
        ext.step = 1 << 31
    with pytest.raises(AttributeError, match="`add` is a function"):
        ext.add = 3
    with pytest.raises(AttributeError, match=r'symbols\["host"\]'):
        ext.host = 3  # type: ignore[assignment]


LEFT_OUT = """
extern int board;
static const int table[4] = {1, 2, 3, 4};
static int scale = 3;
static volatile int kept = 5;
static inline int twice(int n) { return 2 * n; }
int get(int n) { printk("%d", board); return twice(n * scale) + table[2] + kept; } EXPORT_SYMBOL(get);
"""


@pytest.mark.parametrize("cpu", ["cortex-m4", "rv32imac"])
def test_names_that_the_compiler_has_left_out(cpu: str, tmp_path: Path) -> None:
    """Oracle: the symbol table, which the names are not in, by the compiler; with -O0 they are."""
    obj = compile_c(LEFT_OUT, arch.target(cpu), "gcc", tmp_path, "-O2", name="fast")
    with Extension.load(obj.path, target=cpu) as ext:
        with pytest.raises(AttributeError, match=r"the compiler has left `table` out of fast.*`volatile` or -O0 keeps"):
            _ = ext.table
        with pytest.raises(AttributeError, match="the compiler has left `scale` out"):
            ext.scale = 4
        with pytest.raises(KeyError, match=r"the compiler has left `twice` out of .*inlined"):
            _ = ext.symbols["twice"]
        for name in ("board", "printk", "tables", "n"):  # of others, or of nobody
            with pytest.raises(AttributeError, match=f"has no function or variable `{name}`"):
                getattr(ext, name)
        assert ext.kept == 5
    obj = compile_c(LEFT_OUT, arch.target(cpu), "gcc", tmp_path, "-O0", name="slow")
    with Extension.load(obj.path, target=cpu) as ext:
        assert (list(ext.table), ext.scale, ext.symbols["twice"](4)) == ([1, 2, 3, 4], 3, 8)


def test_names_of_the_object_itself(ext: Extension) -> None:
    ext.symbols["host"][...] = 5
    assert ext.host_is() == 5
    assert "add" in dir(ext)
    assert not [name for name in dir(ext) if "entry_of" in name]
    assert (
        repr(ext)
        == f"<extension everything.debug.elf on {ext.target}: add, after, apply, counter_step, fill, greet, ...>"
    )
    assert repr(ext.apply) == "<int apply(int (*step)(int, const char *), int n) of everything.debug.elf>"
    assert ext.type("struct point").size == (16 if ext.target == "rv64gc" else 12)


def test_without_debug_information(tmp_path: Path) -> None:
    target = arch.target("cortex-m4")
    obj = compile_c("int add(int a, int b) { return a + b; } EXPORT_SYMBOL(add);", target, "gcc", tmp_path, "-g0")
    with Extension.load(obj.path) as ext:
        with pytest.raises(TypeError, match="the types of `add` are not known"):
            ext.add(1, 2)
        assert ext.prototype("int add(int a, int b)")(1, b=2) == 3
        assert ext.add(4, 5) == 9
        with pytest.raises(UsageError, match="cannot be used"):
            ext.prototype("int add(")


# ---- the host


def test_overrides(ext: Extension) -> None:
    slept: list[int] = []

    @ext.host.override("k_msleep")
    def sleep(ms: int) -> None:
        slept.append(ms)

    assert ext.nap(30) == 0
    with ext.host.override("k_msleep", 17):
        assert ext.nap(1) == 17
    ext.nap(40)
    assert slept == [30, 40]
    assert ext.host.calls("k_msleep") == [(30,), (1,), (40,)]
    assert ext.host.calls("k_msleep")[1].result == 17
    assert ext.host.calls("k_msleep")[0].milliseconds == 30


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0), (0, 2, 1), (2, 0, 1)])
def test_overrides_may_end_in_any_order(ext: Extension, order: tuple[int, ...]) -> None:
    """Expected: the last one that has not ended counts."""
    overrides = [ext.host.override("k_msleep", 11 + i) for i in range(3)]
    active = [11, 12, 13]
    for i in order:
        assert ext.nap(1) == active[-1]
        overrides[i].restore()
        active.remove(11 + i)
    assert ext.nap(1) == 0


def test_an_extension_that_runs_cannot_be_reset_or_closed(ext: Extension) -> None:
    for end in (ext.reset, ext.close):
        with ext.host.override("k_msleep", end), pytest.raises(RuntimeError, match="while it runs"):
            ext.nap(1)
    assert ext.add(1, 2) == 3


def test_an_extension_that_is_closed_says_so(tmp_path: Path) -> None:
    ext = Extension.load(compile_c(SOURCE, arch.target("rv32imac"), "gcc", tmp_path).path)
    ext.close()
    for call in (lambda: ext.add(1, 2), ext.reset):
        with pytest.raises(RuntimeError, match=r"ext\.debug\.elf is closed"):
            call()


def test_a_recording(ext: Extension) -> None:
    ext.host.override("k_msleep", [4, 5])
    assert [ext.nap(1), ext.nap(1)] == [4, 5]
    with pytest.raises(ExtensionError, match="`k_msleep` is called once more than there are values: 2"):
        ext.nap(1)


@pytest.mark.parametrize("value", [99999999999, [5, 99999999999], lambda: 99999999999], ids=["value", "list", "code"])
def test_a_result_that_does_not_fit(ext: Extension, value: object) -> None:
    ext.host.override("k_msleep", value)
    with pytest.raises(OverflowError, match="result of `k_msleep`: 99999999999 does not fit into `int32_t`"):
        [ext.nap(1), ext.nap(1)]
    ext.host.fail("k_msleep", result=1 << 31)
    with pytest.raises(OverflowError, match="2147483648 does not fit into `int32_t`"):
        ext.nap(1)


def test_an_override_of_the_extensions_own_function(ext: Extension) -> None:
    own = ext.host.override("scaled", lambda n: n + 1)
    assert ext.use_scaled(6) == 7
    assert own.calls[0].n == 6
    own.restore()
    assert ext.use_scaled(6) == 30


def test_an_override_has_typed_arguments(ext: Extension) -> None:
    ext.host.override("strlen", lambda text: len(text.text) + 1000)
    assert ext.length("four") == 1004
    with pytest.raises(LookupError, match="there is no function `strlem`: did you mean `strlen`"):
        ext.host.override("strlem", 0)


def test_an_override_by_a_prototype(ext: Extension) -> None:
    ext.host.override("k_msleep", lambda a, b: a - b, prototype="int k_msleep(signed char a, unsigned char b)")
    assert ext.nap(-1) in (-1, 255, -2)  # whatever the second register holds


def test_fault_injection(ext: Extension) -> None:
    ext.host.fail("k_malloc", nth=2)
    assert [bool(ext.make(3)) for _ in range(4)] == [True, False, True, True]
    ext.host.fail("k_malloc", times=None)
    assert not ext.make(3)
    assert not ext.make(3)
    assert [block.size for block in ext.host.heap.blocks.values()] == [3, 3, 3]
    assert ext.host.heap.used == 9


def test_output_and_clock(ext: Extension) -> None:
    ext.greet("you")
    assert ext.host.read_output() == "up\nhello you\n"
    ext.greet("all")
    assert ext.host.read_output() == "hello all\n"
    assert ext.host.read_output() == ""
    assert ext.host.output == "up\nhello you\nhello all\n"
    assert [call.format for call in ext.host.calls("printk")] == ["up\n", "hello %s\n", "hello %s\n"]
    ext.nap(250)
    assert ext.host.clock == 250


def test_time_passes_when_the_test_says_so(ext: Extension) -> None:
    ext.start_ticking(10)
    assert ext.ticks == 0
    ext.host.advance(35)
    assert ext.ticks == 3
    ext.host.advance(5)
    assert ext.ticks == 4
    assert ext.host.clock == pytest.approx(40, abs=0.1)


def test_functions_that_nobody_has(tmp_path: Path) -> None:
    source = """int gpio_set(int pin, int value); int adc_read(int channel);
    int read(int channel) { return gpio_set(3, 1) + adc_read(channel); } EXPORT_SYMBOL(read);"""
    path = compile_c(source, arch.target("cortex-m4"), "gcc", tmp_path).path
    with Extension.load(path) as ext:
        ext.host.override("gpio_set", 0)
        ext.host.override("adc_read", lambda channel: 100 * channel)
        assert ext.read(4) == 400
        assert ext.host.calls("gpio_set") == [(3, 1)]
    with Extension.load(path) as ext, pytest.raises(ExtensionError, match="`read` calls `gpio_set`") as raised:
        ext.read(4)
    assert raised.value.code == "run-missing-code"
    assert "host.override" in raised.value.diagnostic.help


# ---- states


def test_reset_takes_everything_back(ext: Extension) -> None:
    ext.step, ext.history[0] = 9, 9
    ext.make(100)
    ext.host.override("k_msleep", 3)
    ext.greet("you")
    ext.reset()
    assert (ext.step, ext.history[0], ext.host.heap.used, ext.nap(1)) == (5, 1, 0, 0)
    assert ext.host.output == "up\n"


def test_a_fault_has_a_place_and_can_be_survived(ext: Extension) -> None:
    line = next(i for i, text in enumerate(SOURCE.splitlines(), 1) if "*(const" in text)
    with pytest.raises(ExtensionError, match="where there is no memory") as raised:
        ext.peek(0)
    assert raised.value.code == "run-fault"
    assert raised.value.location is not None
    assert raised.value.location.line == line
    assert ext.add(1, 2) == 3


def test_the_text_of_an_error_has_what_a_person_sees(ext: Extension) -> None:
    """Oracle: the renderer of the command line, each of whose lines is found, at a width at which none is wrapped."""
    with pytest.raises(ExtensionError, match="note: a null pointer was used") as raised:
        ext.peek(0)
    assert str(raised.value).splitlines() == render(raised.value.diagnostic, Paint(None), 9999).splitlines()
    ext.host.override("k_msleep", [4])
    ext.nap(1)
    with pytest.raises(ExtensionError, match=r"\| they were 4\n   = help: give one value for each call"):
        ext.nap(1)


def test_an_endless_loop_ends(tmp_path: Path) -> None:
    obj = compile_c("void spin(void) { for (;;) { } } EXPORT_SYMBOL(spin);", arch.target("rv32imac"), "gcc", tmp_path)
    with (
        pytest.raises(ExtensionError, match="`spin` was still running") as raised,
        Extension.load(obj.path, seconds=0.05) as ext,
    ):
        ext.spin()
    assert raised.value.code == "run-timeout"


LIMITED = """
int spin(int n) { for (volatile int i = 0; i < n; i++) { } return n; } EXPORT_SYMBOL(spin);
int deep(int n) { volatile char line[64]; line[0] = n; return n ? deep(n - 1) + line[0] : 0; } EXPORT_SYMBOL(deep);
int says(int n) { for (int i = 0; i < n; i++) { printk("0123456789"); } return n; } EXPORT_SYMBOL(says);
int gets(int n) { void *p = malloc(n); free(p); return p != NULL; } EXPORT_SYMBOL(gets);
int nest(int (*back)(int n), int n) { return n ? back(n - 1) : 0; } EXPORT_SYMBOL(nest);
"""


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> str:
    return compile_c(LIMITED, arch.target("cortex-m4"), "gcc", tmp_path_factory.mktemp("limited"), "-O1").path


@pytest.mark.parametrize(
    ("limit", "name", "good", "bad", "code", "said"),
    [
        ({"seconds": 0.05}, "spin", 10, 1 << 30, "run-timeout", "`seconds=...` at loading"),
        ({"instructions": 5000}, "spin", 500, 5000, "run-instructions", "`instructions=...` at loading"),
        ({"stack": 4096}, "deep", 20, 100, "run-stack", "`stack=...` at loading"),
        ({"output": 100}, "says", 10, 11, "run-output", "`output=...` at loading"),
    ],
    ids=["seconds", "instructions", "stack", "output"],
)
def test_limits(limited: str, limit: dict[str, Any], name: str, good: int, bad: int, code: str, said: str) -> None:
    """Without it the extension may do that; with it up to the limit, once and again, and after it was reset."""
    with Extension.load(limited) as ext:
        assert name == "spin" or ext.call(name, bad) is not None
    with Extension.load(limited, leaks="ignore", **limit) as ext:
        ext.call(name, good)
        with pytest.raises(ExtensionError) as raised:
            ext.call(name, bad)
        assert raised.value.code == code
        assert said in raised.value.diagnostic.help
        assert "--" not in raised.value.diagnostic.help
        ext.reset()
        ext.call(name, good)


def test_instructions_count_for_each_call(limited: str) -> None:
    with Extension.load(limited, instructions=5000) as ext:
        assert [ext.spin(500) for _ in range(8)] == [500] * 8


def test_limits_of_heap_depth_and_memory(limited: str) -> None:
    with Extension.load(limited, heap=1024) as ext:
        assert (ext.gets(900), ext.gets(1100)) == (1, 0)
    with Extension.load(limited, depth=4) as ext:

        def back(n: int) -> int:
            return int(ext.nest(back, n))

        assert ext.nest(back, 3) == 0
        with pytest.raises(ExtensionError, match="call each other 4 levels deep"):
            ext.nest(back, 9)
    with pytest.raises(ExtensionError, match="more memory than the limit leaves") as raised:
        Extension.load(limited, memory=8192)
    assert raised.value.code == "run-memory"
    assert "`memory=...`" in raised.value.diagnostic.help


def test_a_leak_at_the_end(tmp_path: Path) -> None:
    source = """static void *kept; void keep(int n) { kept = malloc(n); } EXPORT_SYMBOL(keep);
    void drop(void) { free(kept); } EXPORT_SYMBOL(drop);"""
    path = compile_c(source, arch.target("cortex-m4"), "gcc", tmp_path).path
    with (
        pytest.raises(ExtensionError, match="1 block of 24 bytes in all is still allocated") as raised,
        Extension.load(path) as ext,
    ):
        ext.keep(24)
    assert raised.value.code == "run-leak"
    assert "allocated by `keep`" in raised.value.diagnostic.detail[0]
    with Extension.load(path) as ext:
        ext.keep(24)
        ext.drop()
    misspelt: Any = "Fail"
    with pytest.raises(ValueError, match="`leaks='Fail'` cannot be: give 'fail' or 'ignore'"):
        Extension.load(path, leaks=misspelt)
    with Extension.load(path, leaks="ignore") as ext:
        ext.keep(24)
    with pytest.raises(OverflowError), Extension.load(path) as ext:
        ext.keep(ext.keep(24) or 1 << 40)


def test_a_timer_that_still_runs_at_the_end(tmp_path: Path) -> None:
    path = compile_c(SOURCE, arch.target("cortex-m4"), "gcc", tmp_path).path
    with pytest.raises(ExtensionError, match="1 timer is left") as raised, Extension.load(path) as ext:
        ext.start_ticking(10)
    assert raised.value.code == "run-threads-left"


def test_constructors_wait_if_asked_to(tmp_path: Path) -> None:
    source = """static int ups; __attribute__((constructor)) static void up(void) { ups += k_msleep(3); }
    __attribute__((destructor)) static void down(void) { printk("down"); }
    int ups_are(void) { return ups; } EXPORT_SYMBOL(ups_are);"""
    path = compile_c(source, arch.target("cortex-m4"), "gcc", tmp_path).path
    with Extension.load(path, bringup=False) as ext:
        ext.host.override("k_msleep", 40)
        assert ext.ups_are() == 0
        ext.bringup()
        assert ext.ups_are() == 40
        ext.teardown()
        assert ext.host.output == "down"


@pytest.mark.toolchain
def test_a_shipped_extension_has_statics_by_its_debug_file(tmp_path: Path) -> None:
    """``llext finish`` strips their symbols. Those of GNU's assembler may have no type."""
    source = """
    static int count = 5;
    static short quiet;
    static int bump(int by) { return count += by; }
    int go(void) { static int calls; calls++; quiet++; return bump(2); }
    EXPORT_SYMBOL(go);
    """
    obj = compile_c(source, arch.target("cortex-m4"), "gcc", tmp_path, "-O0", name="shipped")
    assert main(["finish", obj.path, "-o", str(tmp_path / "shipped.llext")]) == 0
    for path in (obj.path, str(tmp_path / "shipped.llext")):
        extension = Extension.load(path, target="cortex-m4")
        assert (extension.count, extension.go(), extension.count) == (5, 7, 7)
        assert (extension.bump(3), extension.quiet, getattr(extension, "calls.0")) == (10, 1, 1)
        extension.close()
