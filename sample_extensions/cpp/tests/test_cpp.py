"""cpp: the heap as C++ uses it, and what happens without memory."""

import pytest

from llext_tools import ExtensionError


@pytest.fixture
def shapes(llext_extension):
    return llext_extension("cpp.llext")


def test_sums_up(shapes):
    assert shapes.report(3) == 10 * (3 * 3 + 3 * 4 + 1 + 6 + 4)


def test_the_static_object_is_constructed_first(shapes):
    assert shapes.host.read_output() == "unit of 10 constructed\n"
    shapes.report(1)
    assert shapes.host.read_output().startswith("square of area 10\n")


def test_all_shapes_are_deleted(shapes):
    shapes.report(5)
    assert shapes.host.output.endswith("0 alive\n")
    assert shapes.host.heap.used == 0
    assert shapes.host.heap.peak > 0
    assert len(shapes.host.calls("k_malloc")) == len(shapes.host.calls("k_free")) == 5


@pytest.mark.parametrize("nth", [1, 5])
def test_gives_up_without_memory(shapes, nth):
    shapes.host.fail("k_malloc", nth=nth)
    with pytest.raises(ExtensionError, match=r"operator new.* calls abort\(\)|_Znwj|_Znwm|calls abort"):
        shapes.report(3)
    assert len(shapes.host.calls("k_malloc")) == nth
