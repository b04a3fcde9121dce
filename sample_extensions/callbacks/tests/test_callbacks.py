"""callbacks: the host calls the extension; here the host is Python, or the test is what calls."""

import pytest


@pytest.fixture
def trees(llext_extension):
    return llext_extension("callbacks.llext")


@pytest.mark.parametrize(("name", "age"), [("oak", 85), ("ash", 36), ("cedar", 84), ("yew", -1)])
def test_finds_the_age(trees, name, age):
    assert trees.age_of(name) == age


def test_sorts_in_place(trees):
    trees.age_of("oak")
    names = [tree.name.text for tree in trees.trees]
    assert names == sorted(names)


def test_compares_two_trees(trees):
    """A static function, called with the addresses of structures: of one in the extension, and of one made here."""
    young = trees.host.alloc("struct tree", {"name": "willow", "age": 3})
    assert trees.by_age(trees.trees[0], young) == trees.trees[0].age - 3
    assert trees.by_name(young, young) == 0


def test_a_host_that_sorts_backwards(trees):
    """An override gets the address of the extension's function, and calls it."""

    @trees.host.override("qsort")
    def qsort(base, count, size, compare):
        if int(compare) == trees.symbols["by_age"].address:
            ages = [trees.trees[i].age for i in range(count)]
            assert trees.by_age(base, base + size) == ages[0] - ages[1]

    assert trees.age_of("oak") in (85, -1)  # what is not sorted is found only by luck
    assert [call.count for call in trees.host.calls("qsort")] == [6, 6]


def test_how_often_it_is_called_back(trees):
    trees.age_of("elm")
    assert 6 <= trees.comparisons <= 40
