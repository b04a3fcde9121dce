"""Thousands of random loads, calls and unloads on one runtime, after which nothing is left of them.

Oracle: ``Firmware`` and ``Extension`` below, a model of what Zephyr does with names, imports and use counts and of what
the C sources compute. It knows nothing of addresses, memory or ELF files.
Source: Zephyr, ``subsys/llext/llext.c`` and ``llext_link.c``. What looks like a mistake in the model is one of
theirs: a load that fails keeps the use counts that it took; whoever unloads an extension that another one uses takes
that one's use, and the count then falls to 0, or below, without anything being freed.
"""

from __future__ import annotations

import errno
import gc
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from emulator.conftest import Build
from llext_tools.errors import LlextError
from llext_tools.llext import BufLoader, Config, FileLoader, Llext, Loader, Runtime, Storage
from llext_tools.mem import Mem

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

WORD = 0xFFFF_FFFF
FACTORS = (3, 5, 7, 11)
NAME = 15
MOST_PROVIDERS = 8
HEAP = 96 << 10


class Plan(NamedTuple):
    """An extension that is to be built.

    ``name``: under which it is loaded. ``exports``: what its functions and its variable are called, if not so.
    ``needs``: whose function and variable it imports, by what they are called; ``table``: the functions only, by one
    table of pointers, in this order. ``start``: what its variable holds. ``arrays``: there is a constructor and a
    destructor. ``error``: what loading it always gives. ``extra``: more C.
    """

    name: str
    needs: tuple[str, ...] = ()
    start: int = 0
    exports: str = ""
    table: bool = False
    arrays: bool = False
    error: str = ""
    extra: str = ""

    @property
    def stem(self) -> str:
        return self.exports or self.name


ROWS = (
    Plan("clock", start=1),
    Plan("log", start=2, arrays=True),
    Plan("store", start=3, extra="uint32_t store_block[150]; EXPORT_SYMBOL(store_block);"),
    Plan("codec", start=4, extra="const char *const codec_names[] = {\"a\", \"bc\"}; EXPORT_SYMBOL(codec_names);"),
    Plan("uart", ("log",), start=5),
    Plan("spi", ("clock", "log"), start=6, arrays=True),
    Plan("i2c", ("clock",), start=7),
    Plan("driver_spi", ("spi",), start=8, exports="driver"),
    Plan("driver_i2c", ("i2c", "codec"), start=9, exports="driver"),
    Plan("sensor_humidity_in", ("driver",), start=10, exports="humidity_in"),
    Plan("sensor_humidity_out", ("driver", "log"), start=11, exports="humidity_out"),
    Plan("filter", ("codec",), start=12, arrays=True),
    Plan("display", ("uart", "filter"), start=13),
    Plan("app", ("display", "driver", "store"), start=14),
    Plan("monitor", ("app", "log"), start=15, arrays=True),
    Plan("hub", ("clock", "log", "store", "codec", "uart", "spi", "i2c", "filter", "display"), start=16, table=True),
    Plan("alone", start=17),
    Plan("lost", ("log", "nobody", "clock"), error="ENODATA"),
    Plan("huge", ("log",), error="ENOMEM", extra=f"char huge_block[{HEAP}]; EXPORT_SYMBOL(huge_block);"),
    Plan("private", ("clock",), error="ENOMEM"),
)  # fmt: skip
PLANS = {plan.name: plan for plan in ROWS}
STEMS = {plan.stem: plan.name for plan in ROWS}


def source(plan: Plan) -> str:
    """C; ``Extension.add()`` says what it computes."""
    name, private = plan.stem, "static " * (plan.name == "private")
    lines = [f"#define FUNCTION {private}__attribute__((noinline, used))", "static uint32_t calls;"]
    lines += [f"static const uint32_t factors[] = {{{', '.join(map(str, FACTORS))}}};"]
    lines += [f"{private}uint32_t {name}_value = {plan.start};"]
    lines += [f"uint32_t {each}_add(uint32_t x); extern uint32_t {each}_value;" for each in plan.needs]
    if plan.table:
        entries = ", ".join(f"{each}_add" for each in plan.needs)
        lines += [f"uint32_t (*{name}_table[])(uint32_t) = {{{entries}}};"]
        uses = f"for (unsigned int i = 0; i < {len(plan.needs)}; i++) total += {name}_table[i](x + 1);"
    else:
        uses = "".join(f"total += {each}_add(x + 1); total ^= {each}_value;" for each in plan.needs)
    lines += [
        f"FUNCTION uint32_t {name}_add(uint32_t x)",
        "{",
        f"    {name}_value += x * factors[calls++ % {len(FACTORS)}];",
        f"    uint32_t total = {name}_value;",
        f"    {uses}",
        "    return total;",
        "}",
        f'FUNCTION void {name}_say(void) {{ printk("{plan.name} %u %u\\n", {name}_value, calls); }}',
    ]
    if plan.arrays:
        lines += [
            f'static void {name}_end(void) {{ printk("{plan.name} ends\\n"); }}',
            f"__attribute__((constructor)) static void rise(void) {{ {name}_value += 1000; {name}_say(); }}",
            f"__attribute__((destructor)) static void fall(void) {{ {name}_value ^= 1; {name}_end(); }}",
        ]
    if not private:
        lines += [f"EXPORT_SYMBOL({name}_{each});" for each in ("add", "say", "value")]
    return "\n".join([*lines, plan.extra, ""])


class Extension:
    """What a model knows of an extension in memory."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.name = plan, plan.name[:NAME]
        self.uses = 1
        self.value, self.calls = plan.start, 0
        self.imports: list[Extension] = []
        self.holds: list[Extension] = []
        self.freed = False

    @property
    def sound(self) -> bool:
        """Whether all that it would call is still there."""
        return not self.freed and all(each.sound for each in self.imports)

    def add(self, x: int) -> int:
        self.value = self.value + x * FACTORS[self.calls % len(FACTORS)] & WORD
        self.calls += 1
        total = self.value
        for each in self.imports:
            total = total + each.add(x + 1 & WORD) & WORD
            if not self.plan.table:
                total ^= each.value
        return total

    def say(self) -> str:
        return f"{self.plan.name} {self.value} {self.calls}\n"

    def bringup(self) -> str:
        if not self.plan.arrays:
            return ""
        self.value = self.value + 1000 & WORD
        return self.say()

    def teardown(self) -> str:
        if not self.plan.arrays:
            return ""
        self.value ^= 1
        return f"{self.plan.name} ends\n"


class Firmware:
    """The list of loaded extensions, and what ``llext_load()`` and ``llext_unload()`` do with it."""

    def __init__(self) -> None:
        self.loaded: list[Extension] = []

    def by_name(self, name: str) -> Extension | None:
        return next((each for each in self.loaded if each.name == name[:NAME]), None)

    def load(self, plan: Plan) -> int | str:
        """What is returned, a use count or an error."""
        known = self.by_name(plan.name)
        if known is not None:
            known.uses += 1
            return known.uses - 1
        if plan.error == "ENOMEM":  # before anything is looked up
            return plan.error
        new = Extension(plan)
        new.imports = self.imports(plan)
        new.holds = new.imports[:MOST_PROVIDERS]
        for each in new.holds:
            each.uses += 1
        if len(new.imports) < len(plan.needs):
            return "ENODATA"
        self.loaded.append(new)
        return 0

    def imports(self, plan: Plan) -> list[Extension]:
        """Who offers what an extension needs, as far as somebody does: of several the one that was there first."""
        found = (next((each for each in self.loaded if each.plan.stem == wanted), None) for wanted in plan.needs)
        return [each for each in found if each is not None]

    def unload(self, ext: Extension) -> int:
        ext.uses -= 1
        if ext.uses == 0:
            self.loaded.remove(ext)
            ext.freed = True
            for each in ext.holds:
                each.uses -= 1
        return ext.uses

    def held(self, ext: Extension) -> bool:
        return any(ext in each.holds for each in self.loaded)


class Failing(BufLoader):
    """A buffer whose ``reads``-th read fails."""

    def __init__(self, data: bytes, reads: int) -> None:
        super().__init__(data)
        self.reads = reads

    def read(self, size: int) -> bytes:
        self.reads -= 1
        if not self.reads:
            raise OSError(errno.EIO, "the cable was pulled")
        return super().read(size)


class Built(NamedTuple):
    """The extensions for one target, by name: the files, and what is in them."""

    target: str
    folder: Path
    data: dict[str, bytes]

    def loader(self, name: str, kind: str) -> Loader:
        """A fresh loader: what a writable buffer holds after a load is no object any more."""
        if kind == "file":
            return FileLoader(self.folder / name)
        return BufLoader(self.data[name], Storage(kind.removesuffix(" blind")), peek=not kind.endswith("blind"))


LOADERS = ("temporary", "temporary blind", "persistent", "writable", "file")
BLIND = ("temporary blind", "file")


def built(target: str, chain: str, build: Build, folder: Path) -> Built:
    """All extensions, compiled; sizes of the sections aside they are the same on all targets."""
    data = {}
    for plan in ROWS:
        data[plan.name] = build(source(plan), target, chain, "-g0").image.tobytes()
        (folder / plan.name).write_bytes(data[plan.name])
    return Built(target, folder, data)


OF_LOADED = ("unload", "drop", "call", "call_fn", "bringup", "teardown")
WHICH = st.integers(0, 99)
STEP = st.one_of(
    *2 * [st.tuples(st.just("load"), st.sampled_from(list(PLANS)), st.sampled_from(LOADERS))],
    st.tuples(st.just("load_all"), st.sampled_from(list(PLANS)), st.sampled_from(LOADERS)),
    st.tuples(st.just("load_broken"), st.sampled_from(list(PLANS)), st.integers(1, 4)),
    st.tuples(st.just("unload"), WHICH),
    *2 * [st.tuples(st.just("drop"), WHICH)],
    *2 * [st.tuples(st.just("call"), WHICH, st.integers(0, WORD))],
    st.tuples(st.just("call_fn"), WHICH),
    st.tuples(st.sampled_from(["bringup", "teardown"]), WHICH),
    st.tuples(st.just("look_up"), st.sampled_from(list(PLANS))),
    st.tuples(st.just("iterate"), st.integers(0, len(PLANS))),
)
"""A step: what is done, to what. Extensions that are there go by a number, of which only the remainder counts."""


class Steps(RuleBasedStateMachine):
    """One runtime and one model, and whatever is done to both.

    There is one rule and not one for each kind of step: of several rules hypothesis leaves most out of each run.
    """

    files: ClassVar[Built]
    run: ClassVar[Run]
    done: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.rt = Runtime.on(self.run.target, config=self.run.config)
        assert self.rt.cpu is not None
        self.cpu = self.rt.cpu
        self.model = Firmware()
        self.printed = ""
        self.steps = -2  # without the checks at the start and at the end
        self.lost = 0  # copies of section headers that a failed load leaves on the heap
        self.before = self.mapped()

    def mapped(self) -> tuple[object, ...]:
        """What the emulator has of memory, and what the host knows of it."""
        memory = self.cpu.guest.memory
        return self.rt.mapped, memory.areas, memory.grounds, tuple(map(id, self.rt.space.segments))

    def handle(self, ext: Extension) -> Llext:
        found = self.rt.by_name(ext.plan.name)
        assert found is not None
        return found

    def address(self, ext: Extension, what: str) -> int:
        found = self.rt.find_sym(self.handle(ext).exp_tab, f"{ext.plan.stem}_{what}")
        assert found is not None
        return found

    @rule(step=STEP)
    def step(self, step: tuple[str, *tuple[Any, ...]]) -> None:
        action, *values = step
        if action in OF_LOADED:
            if not self.model.loaded:
                return
            values[0] = self.model.loaded[values[0] % len(self.model.loaded)]
        getattr(self, f"do_{action}")(*values)

    def do_load(self, name: str, kind: str) -> None:
        if self.run.tight and kind in BLIND:
            return  # each failure would cost the heap a table of section headers
        self.attempt(PLANS[name], self.files.loader(name, kind), blind=kind in BLIND)

    def do_load_all(self, name: str, kind: str) -> None:
        """Load an extension behind all that it needs."""
        for wanted in PLANS[name].needs:
            if wanted in STEMS and not any(each.plan.stem == wanted for each in self.model.loaded):
                self.do_load_all(STEMS[wanted], kind)
        self.do_load(name, kind)

    def do_load_broken(self, name: str, reads: int) -> None:
        self.attempt(PLANS[name], Failing(self.files.data[name], reads))

    def attempt(self, plan: Plan, loader: Loader, *, blind: bool = False) -> None:
        known = self.model.by_name(plan.name)
        try:
            count, ext = self.rt.load(loader, plan.name)
        except LlextError as error:
            assert known is None
            self.done["refused"] += 1
            self.lost += blind
            if isinstance(loader, Failing) and error.errno == "EIO":
                return
            if self.run.tight and error.errno == "ENOMEM":
                self.ran_out(plan)
            else:
                assert error.errno == self.model.load(plan)
            return
        assert count == self.model.load(plan)
        assert ext.name == plan.name[:NAME]
        self.done["held" if known else "loaded"] += 1
        if known is None:
            assert not isinstance(loader, Failing)
            assert {each.name for each in ext.dependency} == {each.name for each in self.model.loaded[-1].holds}

    def ran_out(self, plan: Plan) -> None:
        """No memory: either before anything was linked, or for the table of exports, when all of it was."""
        if any(ext.use_count != each.uses for ext, each in zip(self.rt, self.model.loaded, strict=True)):
            for each in self.model.imports(plan)[:MOST_PROVIDERS]:
                each.uses += 1

    def do_unload(self, ext: Extension) -> None:
        if ext.uses == 1 and self.model.held(ext):
            return  # Zephyr would free what is still used, and write to it later
        self.unload(ext)

    def unload(self, ext: Extension) -> None:
        handle = self.handle(ext)
        loader = handle.loader
        assert self.rt.unload(handle) == self.model.unload(ext)
        if not ext.freed:
            return
        assert handle.use_count == 0
        self.done["freed"] += 1
        if isinstance(loader, BufLoader) and loader.storage is Storage.PERSISTENT:
            assert loader.buffer is not None
            assert loader.buffer.data[: len(loader.data)].tobytes() == loader.data, "only a writable file is changed"

    def do_drop(self, ext: Extension) -> None:
        while ext.uses > 1:
            self.do_unload(ext)
        self.do_unload(ext)

    def do_call(self, ext: Extension, x: int) -> None:
        if ext.sound:
            name = f"{ext.plan.stem}_add"
            assert self.rt.call(self.handle(ext), name, "uint32_t add(uint32_t x)", x) == ext.add(x)
            self.done["called"] += 1

    def do_call_fn(self, ext: Extension) -> None:
        assert self.rt.call_fn(self.handle(ext), f"{ext.plan.stem}_say") == 0
        self.printed += ext.say()

    def do_bringup(self, ext: Extension) -> None:
        assert self.rt.bringup(self.handle(ext)) == 0
        self.printed += ext.bringup()

    def do_teardown(self, ext: Extension) -> None:
        assert self.rt.teardown(self.handle(ext)) == 0
        self.printed += ext.teardown()

    def do_look_up(self, name: str) -> None:
        plan, known = PLANS[name], self.model.by_name(name)
        found = self.rt.by_name(name + "_as_it_were" * (len(name) >= NAME))
        assert (found is None) == (known is None)
        if known is not None and found is not None:
            assert 0 <= self.address(known, "say") - found.mem[Mem.TEXT] < found.mem_size[Mem.TEXT]
            assert self.rt.find_sym(found.exp_tab, f"{known.plan.stem}_nothing") is None
        assert self.rt.find_sym(None, f"{plan.stem}_say") is None

    def do_iterate(self, stop: int) -> None:
        """The function stops the walk with its own value at extension ``stop``."""
        seen: list[str] = []

        def fn(ext: Llext, result: int) -> int:
            seen.append(ext.name)
            return result if len(seen) > stop else 0

        names = [each.name for each in self.model.loaded]
        assert self.rt.iterate(fn, -7) == (-7 if stop < len(names) else 0)
        assert seen == names[: stop + 1]

    @invariant()
    def agrees(self) -> None:
        """After each step: who is loaded and how often, what the variables hold, what was printed."""
        self.steps += 1
        assert [(ext.name, ext.use_count) for ext in self.rt] == [(each.name, each.uses) for each in self.model.loaded]
        for ext in self.model.loaded:
            value = self.rt.space.view(self.address(ext, "value"), 4).tobytes()
            assert int.from_bytes(value, "little") == ext.value, ext.name
        assert self.rt.output == self.printed

    def teardown(self) -> None:
        """Whatever has happened, everything can be unloaded, the users before what they use; and nothing stays."""
        try:
            for ext in reversed(self.model.loaded.copy()):
                handle = self.handle(ext)
                while ext.uses < 1:  # loading it once more is the way to get rid of it
                    assert self.rt.load(self.files.loader(ext.plan.name, "persistent"), ext.plan.name)[1] is handle
                    ext.uses += 1
                while not ext.freed:
                    self.unload(ext)
            self.agrees()
            assert list(self.rt) == []
            for heap in self.rt.heaps:
                assert heap.allocations == (self.lost if heap is self.rt.heaps.metadata else 0)
                assert heap.empty == (heap.allocations == 0)
            assert self.mapped() == self.before
        finally:
            self.done["steps"] += self.steps
            self.rt.close()


class Run(NamedTuple):
    """``tight``: there is not always room for what is to be loaded."""

    target: str
    chain: str
    config: Config
    tight: bool = False


RUNS = {
    "k_heap": Run("cortex-m4", "gcc", Config(heap_size=HEAP)),
    "pmp": Run("rv32imac", "gcc", Config(heap_size=HEAP, protection="pmp", granularity=64)),
    "memblk": Run("cortex-m33", "zig", Config(heap="memblk", heap_size=HEAP, metadata_heap_size=HEAP)),
    "harvard": Run("rv64gc", "zig", Config(heap_size=HEAP, harvard=True, instr_heap_size=HEAP // 2)),
    "tight": Run("cortex-m4", "gcc", Config(heap_size=8 << 10), tight=True),
}
EXAMPLES, STEPS = 6, 500
BATCHES, ROUNDS = 4, 60


@pytest.mark.parametrize("name", RUNS)
def test_random_steps(name: str, build: Build, tmp_path: Path) -> None:
    """More than 10,000 steps in all of these together. A failure ends with the steps that lead to it, as few as do."""
    run = RUNS[name]
    Steps.files, Steps.run, Steps.done = built(run.target, run.chain, build, tmp_path), run, Counter()
    run_state_machine_as_test(
        Steps,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=False,
            print_blob=True,
            phases=[Phase.reuse, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert Steps.done["steps"] >= (EXAMPLES - 1) * STEPS
    for what in ("loaded", "held", "refused", "freed", "called"):
        assert Steps.done[what] >= 50, what


def test_the_host_forgets_what_was_unloaded(build: Build, tmp_path: Path) -> None:
    """Memory of the host: once all caches are filled, a batch of rounds needs no more."""
    files = built("cortex-m4", "gcc", build, tmp_path)

    def once(rt: Runtime) -> None:
        _, clock = rt.load(files.loader("clock", "persistent"), "clock")
        _, i2c = rt.load(files.loader("i2c", "writable"), "i2c")
        assert rt.bringup(i2c) == 0
        assert rt.call(i2c, "i2c_add", "uint32_t add(uint32_t x)", 2) == (7 + 2 * 3) + (1 + 3 * 3) ^ (1 + 3 * 3)
        for ext in (i2c, clock):
            while rt.unload(ext):
                pass

    used = []
    with Runtime.on("cortex-m4") as rt:
        tracemalloc.start()
        try:
            for _ in range(BATCHES):
                for _ in range(ROUNDS):
                    once(rt)
                gc.collect()
                used.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    assert min(np.diff(used)) < 128 * ROUNDS, "each batch leaves more than Python's lists of free objects"
