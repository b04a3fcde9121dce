"""One set of headers, two compilers: nothing is to be said. Oracle: both follow one ABI, so the layouts are the same.

Of the types of <stdint.h>, the compilers disagree on ``int_fast16_t`` alone, and that is to be said.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import built
from typed import disagreements, link

pytestmark = pytest.mark.toolchain

HEADER = """\
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
enum mode { MODE_OFF, MODE_ON = 5, MODE_BACK = -1 };
enum big { BIG = 0x12345678 };
typedef enum { RED, GREEN } color_t;
typedef struct { int x, y; } point_t, *point_p;
typedef int (*callback_t)(void *context, const char *name, ...);
struct hidden;
struct __attribute__((packed)) packed_one { uint8_t a; uint32_t b; uint64_t c; struct { uint8_t d; uint16_t e; } f; };
struct every {
    int8_t a; uint8_t b; int16_t c; uint16_t d; int32_t e; uint32_t f; int64_t g; uint64_t h;
    intptr_t i; uintptr_t j; size_t k; ptrdiff_t l; wchar_t m; char n; signed char o; long p; unsigned long q;
    long long r; float s; double t; long double u; bool v; uint_least16_t w; uint_least8_t x; intmax_t y;
    const void *volatile z;
};
struct shapes {
    union { struct { uint16_t low, high; }; uint32_t word; float real; };
    struct { point_t from; struct { point_p to; } deep[2]; } line;
    unsigned one : 1, five : 5; int sign : 7; uint8_t octet : 4; uint64_t wide : 40; bool flag : 1;
    enum mode mode; color_t color; enum big big;
    callback_t callbacks[3]; callback_t (*table)[4]; struct shapes *next; struct hidden *hidden;
    struct packed_one packed_one; struct every every; int matrix[2][3][4]; char tail[];
};
union any { char c; double d; struct every *e; point_t p[3]; };
struct pair { int a; struct pair *next; };
struct alignas16 { char a; } __attribute__((aligned(16)));

int use_every(const struct every *e, struct every by_value);
struct shapes *use_shapes(struct shapes *restrict s, size_t n, color_t color, enum mode mode, bool b);
point_t use_points(point_t p, point_p q, const point_t *const r);
long double use_floats(float f, double d, long double l);
int use_vaargs(const char *format, ...);
int use_valist(const char *format, va_list list);
callback_t use_callback(callback_t cb, int (*sort)(const void *, const void *), void (*sig(int, void (*)(int)))(int));
union any use_union(union any u, struct hidden *h, struct alignas16 *a);
void use_integers(int8_t a, uint8_t b, int16_t c, uint16_t d, int32_t e, uint32_t f, int64_t g, uint64_t h, size_t i);
void use_arrays(int a[4], int b[][3], const char *const names[], struct pair c);
void use_nothing(void);
extern struct shapes *all_shapes[4];
extern const uint32_t numbers[];
extern volatile enum mode current;
"""
NAMES = [
    "every",
    "shapes",
    "points",
    "floats",
    "vaargs",
    "valist",
    "callback",
    "union",
    "integers",
    "arrays",
    "nothing",
]
FIRMWARE = """
int use_every(const struct every *e, struct every by_value) { return e->a + by_value.b; }
struct shapes *use_shapes(struct shapes *restrict s, size_t n, color_t color, enum mode mode, bool b)
{ return s + n + color + mode + b; }
point_t use_points(point_t p, point_p q, const point_t *const r) { p.x = q->x + r->y; return p; }
long double use_floats(float f, double d, long double l) { (void)f; (void)d; return l; }
int use_vaargs(const char *format, ...) { return *format; }
int use_valist(const char *format, va_list list) { va_list l; va_copy(l, list); return *format; }
callback_t use_callback(callback_t cb, int (*sort)(const void *, const void *), void (*sig(int, void (*)(int)))(int))
{ (void)sort; (void)sig; return cb; }
union any use_union(union any u, struct hidden *h, struct alignas16 *a) { u.c = h != 0; return u; }
void use_integers(int8_t a, uint8_t b, int16_t c, uint16_t d, int32_t e, uint32_t f, int64_t g, uint64_t h, size_t i)
{}
void use_arrays(int a[4], int b[][3], const char *const names[], struct pair c) {}
void use_nothing(void) {}
struct shapes *all_shapes[4] = {0};
const uint32_t numbers[5] = {1};
volatile enum mode current;
EXPORT(all_shapes); EXPORT(numbers); EXPORT(current);
"""
EXTENSION = """
volatile int total;
void start(void)
{
    static struct every e;
    static struct shapes s;
    static union any u;
    point_t p = {1, 2};
    struct pair pair = {0};
    va_list list;
    total += use_every(&e, e) + use_shapes(&s, 1, RED, MODE_ON, true)->one + use_points(p, &p, &p).x;
    (void)use_floats(1, 2, 3);
    total += use_vaargs("", 1) + use_valist("", list);
    total += use_callback(0, 0, 0) != 0;
    u = use_union(u, 0, 0);
    use_integers(1, 2, 3, 4, 5, 6, 7, 8, 9);
    use_arrays(0, 0, 0, pair);
    use_nothing();
    total += all_shapes[0]->sign + numbers[1] + current;
}
"""

CPP = """\
#include <stdint.h>
namespace dev {
enum class state : uint8_t { idle, busy };
struct counter { int count; static int all; };
class port { public: virtual ~port(); virtual int get(int n) = 0; int id; };
template <typename T, int N> struct ring { T items[N]; unsigned head; ring *next; };
class uart : public port, public counter {
public:
    explicit uart(int id);
    int get(int n) override;
    int configure(const char *name, state &now, ring<uint16_t, 4> *out, int &&rest) const;
    static uart *find(int id);
    struct line { int rate; bool parity; } line_;
    int uart::*member;
    int (uart::*method)(int);
private:
    state state_;
    ring<uart *, 2> neighbours_;
};
uart &same(uart &it, ring<uint16_t, 4> by_value);
int over(int);
int over(double);
}
extern "C" void plain(dev::uart *it, bool now);
"""
CPP_FIRMWARE = """
namespace dev {
int counter::all;
port::~port() {}
uart::uart(int id) { this->id = id; }
int uart::get(int n) { return n; }
int uart::configure(const char *name, state &now, ring<uint16_t, 4> *out, int &&rest) const { return *name; }
uart *uart::find(int id) { return nullptr; }
uart &same(uart &it, ring<uint16_t, 4> by_value) { return it; }
int over(int n) { return n; }
int over(double) { return 2; }
}
void plain(dev::uart *it, bool now) {}
extern "C" void __cxa_pure_virtual() {}
extern "C" void _ZdlPvj(void *, unsigned) {}
extern "C" void _ZdlPvm(void *, unsigned long) {}
"""
CPP_EXTENSION = """
int start()
{
    dev::uart *it = dev::uart::find(3);
    dev::state now = dev::state::busy;
    dev::ring<uint16_t, 4> ring = {};
    plain(it, true);
    return it->configure("", now, &ring, 3) + dev::same(*it, ring).id + dev::over(2) + dev::over(2.0)
        + it->uart::get(1);
}
"""
CPP_NAMES = (
    *("_ZNK3dev4uart9configureEPKcRNS_5stateEPNS_4ringItLi4EEEOi", "_ZN3dev4uart4findEi", "_ZN3dev4overEi"),
    *("_ZN3dev4sameERNS_4uartENS_4ringItLi4EEE", "_ZN3dev4overEd", "_ZN3dev4uart3getEi", "plain"),
)
MEMORY = """
#include <stddef.h>
void *memcpy(void *to, const void *from, size_t n)
{ char *t = to; while (n--) t[n] = ((const char *)from)[n]; return to; }
void *memset(void *to, int c, size_t n) { char *t = to; while (n--) t[n] = c; return to; }
EXPORT(memcpy); EXPORT(memset);
"""

PAIRS = [
    *(("cortex-m4", "gcc", "zig"), ("cortex-m4f", "zig", "gcc")),
    *(("rv32imac", "gcc", "zig"), ("rv32imac", "zig", "gcc"), ("rv64gc", "gcc", "zig"), ("rv64gc", "zig", "gcc")),
]
FLAGS = [("-O0", "-gdwarf-4", "-gdwarf-5"), ("-Os", "-gdwarf-5", "-gdwarf-4"), ("-O2", "-gdwarf-5", "-gdwarf-5")]


@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_two_compilers_agree(pair: tuple[str, str, str], flags: tuple[str, str, str], tmp_path: Path) -> None:
    target, mine, theirs = pair
    level, my_version, their_version = flags
    ours = built.find(target, mine)
    exports = "".join(f"EXPORT(use_{name});\n" for name in NAMES)
    options = (level, their_version, "-w", "-fno-builtin")
    fw = link(built.find(target, theirs), tmp_path, HEADER + FIRMWARE + exports, MEMORY, flags=options)
    extension = ours.compile(tmp_path, HEADER + EXTENSION, level, my_version, "-w", "-fno-builtin")
    assert disagreements(ours.merge(tmp_path, extension), fw) == []


@pytest.mark.parametrize("pair", [PAIRS[0], PAIRS[3], ("rv64gc", "gcc", "gcc")], ids="-".join)
def test_two_languages_agree(pair: tuple[str, str, str], tmp_path: Path) -> None:
    """A firmware in C, an extension in C++."""
    target, mine, theirs = pair
    ours = built.find(target, mine)
    exports = "".join(f"EXPORT(use_{name});\n" for name in NAMES)
    options = ("-Os", "-w", "-fno-builtin")
    fw = link(built.find(target, theirs), tmp_path, HEADER + FIRMWARE + exports, MEMORY, flags=options)
    header = f'#define restrict __restrict\nextern "C" {{\n{HEADER}}}\n'
    extension = ours.compile(tmp_path, header + EXTENSION, *options, language="CXX")
    assert disagreements(ours.merge(tmp_path, extension), fw) == []


def test_two_compilers_disagree_on_fast_integers(tmp_path: Path) -> None:
    """Oracle: GCC takes ``int`` for it on Arm, Clang ``short``; see ``__INT_FAST16_TYPE__`` of both."""
    header = "#include <stdint.h>\nstruct fast { int_fast16_t it; };\nint f(struct fast *p)"
    gcc, zig = built.find("cortex-m4", "gcc"), built.find("cortex-m4", "zig")
    fw = link(zig, tmp_path, f"{header} {{ return p->it; }}\nEXPORT(f);")
    extension = gcc.compile(tmp_path, f"{header};\nint start(void) {{ struct fast p = {{1}}; return f(&p); }}")
    (found,) = disagreements(gcc.merge(tmp_path, extension), fw)
    assert found.message.startswith(
        "`struct fast` has `int_fast16_t it` (i32) in the extension, `int_fast16_t it` (i16)"
    )


@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_two_compilers_agree_on_classes(
    pair: tuple[str, str, str], flags: tuple[str, str, str], tmp_path: Path
) -> None:
    target, mine, theirs = pair
    level, my_version, their_version = flags
    ours = built.find(target, mine)
    table = "".join(f"extern const char {name}[]; EXPORT({name});\n" for name in CPP_NAMES)
    options = (level, their_version, "-w", "-fno-builtin")
    fw = link(built.find(target, theirs), tmp_path, table, MEMORY, cpp=CPP + CPP_FIRMWARE, flags=options)
    extension = ours.compile(tmp_path, CPP + CPP_EXTENSION, level, my_version, "-w", "-fno-builtin", language="CXX")
    assert disagreements(ours.merge(tmp_path, extension), fw) == []


WHOLE_CLASSES = {"gcc": "-femit-class-debug-always", "zig": "-fstandalone-debug"}
"""Otherwise a class with virtual functions is described where its first one is defined, and nowhere else."""

CPP_CHANGES = {
    "int count;": ("int more; int count;", "`struct dev::counter` has"),
    "unsigned head;": ("unsigned long long head;", "`struct dev::ring<"),
    "virtual int get(int n) = 0; int id;": ("virtual int get(int n) = 0; int size, id;", "`struct dev::port` has"),
    "busy }": ("off, busy }", "`enum dev::state` has `busy` as 1 in the extension, as 2 in"),
    "bool parity;": ("bool odd; bool parity;", "`struct dev::uart::line` has `parity` at offset 4"),
    "bool now": ("int now", "parameter 2 `now` of `plain` is `bool` in the extension, `int` in"),
    "static uart *find": (
        "static const port *find",
        "`_ZN3dev4uart4findEi` returns `struct dev::uart *` in the extension",
    ),
}


@pytest.mark.parametrize("before", CPP_CHANGES)
@pytest.mark.parametrize("pair", [("cortex-m4", "gcc", "zig"), ("rv32imac", "zig", "gcc")], ids="-".join)
def test_changes_of_classes(pair: tuple[str, str, str], before: str, tmp_path: Path) -> None:
    target, mine, theirs = pair
    after, expected = CPP_CHANGES[before]
    ours = built.find(target, mine)
    table = "".join(f"extern const char {name}[]; EXPORT({name});\n" for name in CPP_NAMES)
    changed = (CPP + CPP_FIRMWARE).replace(before, after)
    if "find" in before:
        changed = changed.replace("uart *uart::find", "const port *uart::find")
    flags = ("-Os", "-w", "-fno-builtin")
    fw = link(built.find(target, theirs), tmp_path, table, MEMORY, cpp=changed, flags=flags)
    extension = ours.compile(tmp_path, CPP + CPP_EXTENSION, *flags, WHOLE_CLASSES[mine], language="CXX")
    found = disagreements(ours.merge(tmp_path, extension), fw)
    assert len(found) == 1 + before.startswith("unsigned head"), found  # a template has two instances
    for each in found:
        assert expected in each.message
