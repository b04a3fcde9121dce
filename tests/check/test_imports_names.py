"""Names of C++ as people write them, and names that are near. Oracle: c++filt, and the definition of the distance."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llext_tools.elf.names import demangle, without_parameters
from llext_tools.link.nearest import Names, slips
from needs import need

SOURCE = """\
namespace drv { namespace inner {
struct sensor {
    sensor(); explicit sensor(int); ~sensor();
    int read(); int read(int) const; int read(long, const char *) volatile;
    static unsigned long count(unsigned char, signed char, short, unsigned short);
    sensor &operator=(const sensor &); bool operator==(const sensor &) const; bool operator<(const sensor &) const;
    int operator()(int, ...); int operator[](unsigned) const; sensor *operator->(); sensor operator<<(int);
    operator bool() const; operator int *(); void *operator new(unsigned); void operator delete(void *);
    sensor operator++(); sensor operator++(int); int operator,(int); sensor operator>>(int) &; int get() &&;
};
enum class mode { on, off };
typedef int (*callback)(sensor *, void (*)(int), int (&)[4]);
void watch(callback, mode, int sensor::*, int (sensor::*)(int) const);
template <class T, int N> struct ring { T items[N]; void push(const T &); template <class U> U pop(U); };
template <class T, int N> void ring<T, N>::push(const T &x) { items[0] = x; }
template <class T, int N> template <class U> U ring<T, N>::pop(U x) { return x; }
template struct ring<int, 3>;
template struct ring<sensor *, 7>;
template long ring<int, 3>::pop<long>(long);
template <class... T> int sum(T... x) { return sizeof...(x); }
template int sum<int, long, ring<int, 3> *>(int, long, ring<int, 3> *);
template <bool B, char C> int flags(ring<int, 3> &&) { return B + C; }
template int flags<true, 'x'>(ring<int, 3> &&);
} }
using namespace drv::inner;
int cooperator(int); int operator_x(double, float, long double, long long, unsigned long long, wchar_t, bool);
namespace { int hidden(int x) { return x; } }
extern "C" int plain(int);
struct base { virtual ~base(); virtual int go(int); };
struct derived : base { ~derived() override; int go(int) override; };
derived::~derived() {}
int derived::go(int x) { static int calls; return hidden(x) + calls++; }
static sensor all[2];
volatile int sink;
void use(sensor &s, const sensor &c, volatile sensor &v, sensor *p, callback f, int (*array)[3],
         const char *const *names)
{
    s.read(); c.read(1); v.read(2, ""); sensor::count(1, 2, 3, 4); s = c; sink = s == c; sink = s < c;
    sink = s(1, 2); sink = c[3]; s.operator->(); s << 4; sink = bool(c); (void)(int *)s; delete new sensor(5);
    ++s; s++; sink = (s, 6); s >> 7; sink = sensor().get(); watch(f, mode::on, nullptr, &sensor::read);
    cooperator(1); operator_x(1, 2, 3, 4, 5, 'x', true); plain(8); (void)array; (void)names; (void)p; (void)all;
}
void *operator new[](unsigned, int *where) noexcept;
int *make(int *where) { return new (where) int[3]; }
"""


@cache
def mangled() -> tuple[str, ...]:
    """Names that the compiler makes of ``SOURCE``; those of lambdas and clones are spelt differently by each tool."""
    command = [need("arm-none-eabi-g++"), "-O0", "-fno-exceptions", "-xc++", "-S", "-o-", "-"]
    done = subprocess.run(command, input=SOURCE, capture_output=True, text=True, check=True)
    return tuple(sorted(set(re.findall(r"\b_Z\w+", done.stdout))))


def filt(names: tuple[str, ...], *options: str) -> list[str]:
    command = [need("arm-none-eabi-c++filt"), *options]
    done = subprocess.run(command, input="\n".join(names), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def alike(text: str) -> str:
    """Both spellings of a few things in one: literals of characters, and blanks between brackets."""
    return text.replace("(char)120", "'x'").replace("> >", ">>").replace(" ", "")


@pytest.mark.toolchain
def test_names_are_those_of_cxxfilt() -> None:
    names = mangled()
    assert len(names) > 40
    for name, theirs in zip(names, filt(names), strict=True):
        assert alike(demangle(name)) == alike(theirs), name


@pytest.mark.toolchain
def test_names_without_parameters_are_those_of_cxxfilt() -> None:
    """``c++filt -p`` leaves out the result that templates show, too."""
    names = mangled()
    for name, theirs in zip(names, filt(names, "-p"), strict=True):
        ours = without_parameters(demangle(name))
        assert alike(ours).endswith(alike(theirs)), name
        assert "(" not in ours.replace("(anonymous namespace)", "").replace("(char)", "").replace(
            "operator()", ""
        ).replace("::go(int)", "")


@pytest.mark.toolchain
@settings(deadline=None, max_examples=300)
@given(st.data())
def test_spoilt_names_are_none_or_some(data: st.DataObject) -> None:
    """What c++filt leaves as it is, has no other name here; nothing raises."""
    name = data.draw(st.sampled_from(mangled()))
    at = data.draw(st.integers(0, len(name)))
    spoilt = name[:at] + data.draw(st.text(st.characters(codec="utf-8"), max_size=3)) + name[at + 1 :]
    assert isinstance(demangle(spoilt), str)
    without_parameters(demangle(spoilt))


@pytest.mark.parametrize(
    "name", ["", "printk", "_Z", "_Zfoo", "_ZN", "_ZN3", "_Z999999999999a", "_ZZ", "__Z3fooi", "_Z\0", "ü"]
)
def test_what_is_not_mangled(name: str) -> None:
    assert demangle(name) == ""
    assert without_parameters(name) == name


def by_definition(a: str, b: str) -> int:
    """Optimal string alignment, each cell from its neighbours, without short cuts."""
    d = {(i, j): max(i, j) for i in range(len(a) + 1) for j in range(len(b) + 1)}
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                d[i, j] = min(d[i, j], d[i - 2, j - 2] + 1)
    return d[len(a), len(b)]


@given(st.text("abc_", max_size=8), st.text("abc_", max_size=8), st.integers(0, 4))
def test_distance(a: str, b: str, limit: int) -> None:
    assert slips(a, b, limit) == min(by_definition(a, b), limit + 1)


WORDS = re.findall(r"\w+", "gpio pin set get uart poll in out k sem take give mutex lock adc read write sensor spi i2c")


def test_nearest_of_thousands() -> None:
    """Oracle: the distance to each of the names, one by one."""
    random = Random(5)
    names = sorted({"_".join(random.choices(WORDS, k=random.randint(2, 5))) for _ in range(400)})
    known = Names(names)
    sorted_words = {"_".join(sorted(name.split("_"))) for name in names}
    for name in random.sample(names, 15):
        at = random.randrange(len(name))
        slip = name[:at] + random.choice(["", "x", name[at] * 2]) + name[at + 1 :]
        if slip in names or "_".join(sorted(slip.split("_"))) in sorted_words:
            continue
        distance = {each: by_definition(slip, each) for each in names if abs(len(each) - len(slip)) < 3}
        least = min(distance.values())
        expected = [each for each, d in distance.items() if d == least]
        assert known.nearest(slip) == tuple(expected[:3]), slip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GPIO_PIN_SET", ("gpio_pin_set",)),
        ("__gpio_pin_set", ("gpio_pin_set",)),
        ("gpio_set_pin", ("gpio_pin_set",)),
        ("gpio_pni_set", ("gpio_pin_set",)),
        ("gpio_pin_sets", ("gpio_pin_set",)),
        ("memcyp", ("memcpy",)),
        ("gpio_port_get", ()),
        ("k_sleep_until_it_is_over", ()),
        ("g", ()),
        ("xy", ()),
    ],
)
def test_slips(name: str, expected: tuple[str, ...]) -> None:
    assert Names(["gpio_pin_set", "memcpy", "printk", "gp", "k_sleep"]).nearest(name) == expected


def test_no_names() -> None:
    assert Names([]).nearest("anything") == ()


def test_names_of_any_letters() -> None:
    assert Names(["größe", "x" * 5000]).nearest("grösse") == ()
    assert Names(["größe_a"]).nearest("größe_b") == ("größe_a",)
