"""Interfaces for the tests: one by hand, and hypothesis' strategies for any that a compiler or a user may think of."""

from __future__ import annotations

from hypothesis import strategies as st

from llext_tools.abi.types import Layout, Member, Param, Signature

WORDS = st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True)
ANYTHING = st.text(max_size=12)
TAGS = st.builds(
    "{} {}".format,
    st.sampled_from(["struct", "union", "enum"]),
    WORDS | st.sampled_from(["a<b, c>", "n::(anonymous)::x", "a.b", "f(int)::local"]),
)
TYPES = st.recursive(
    st.sampled_from(["i32", "u8", "f64", "b8", "void"]) | TAGS,
    lambda inner: (
        st.builds("*{}".format, inner)
        | st.builds("[{}]{}".format, st.integers(0, 99) | st.just(""), inner)
        | st.builds(lambda params, result: f"fn({', '.join(params)}) -> {result}", st.lists(inner, max_size=3), inner)
    ),
    max_leaves=4,
)
SPELLINGS = ANYTHING | st.sampled_from(["int", "unsigned int", "int (*)(int, char)", "struct a *", "int [4]", "x_t"])
PARAMS = st.builds(Param, WORDS | st.just("") | ANYTHING, TYPES, SPELLINGS)
FUNCTIONS = st.builds(Signature, TYPES, SPELLINGS, st.lists(PARAMS, max_size=4).map(tuple), st.booleans())
VARIABLES = st.builds(Signature, TYPES.filter(lambda t: not t.startswith("fn(")), SPELLINGS, st.none(), st.just(False))
MEMBERS = st.builds(Member, WORDS | ANYTHING, st.integers(0, 2**32), TYPES, SPELLINGS, st.integers(0, 64))
NUMBERS = st.builds(Member, WORDS | ANYTHING, st.integers(-(2**63), 2**64), st.just(""), st.just(""))
LAYOUTS = st.one_of(
    st.builds(Layout, st.sampled_from(["struct", "union"]), st.integers(0, 2**40), st.lists(MEMBERS).map(tuple)),
    st.builds(Layout, st.just("enum"), st.sampled_from([1, 2, 4, 8]), st.lists(NUMBERS).map(tuple)),
)
SIGNATURES = FUNCTIONS | VARIABLES
TYPED = st.tuples(WORDS, LAYOUTS).map(lambda pair: (f"{pair[1].kind} {pair[0]}", pair[1]))
