"""Labels in C source. Oracle: C's grammar (C17, 6.8), by which each of these can be read by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llext_tools.measure.source import Source, Statements

PUNCTUATION = ("{", "}", "(", ")", ";", ":", ",", "=", "?", "::")
WORDS = ("if", "else", "for", "while", "do", "switch", "case", "default", "return", "goto", "x", "struct", "constexpr")


def labels(text: str) -> list[tuple[int, bool, bool]]:
    reader = Source()
    reader.lines = lambda _file: tuple(text.split("\n"))  # type: ignore[assignment]
    return [tuple(label) for label in reader.labels("x.c", 1, text.count("\n") + 1)]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("switch (x) {\ncase 1:\ncase 2: f();\nbreak;\ndefault:\n;\n}", [(2, False), (3, False), (5, False)]),
        ("again:\nf();\ngoto again;", [(1, True)]),
        ("x = a ? b : c;\ny = a ? (b) : c;", []),
        ("struct s v = {.a = 1, .b = f(2)};\nout: return;", [(2, True)]),
        ("if constexpr (a) { f(); }\nlater:\ng();", [(2, True)]),
        ("for (;;) {\nif (a)\ngoto out;\nelse {\nin: f();\n}\n}\nout:;", [(5, True), (8, True)]),
        ("FOR_EACH(x, list) {\nswitch (x->k) {\ncase A::B:\nf();\n}\n}", [(3, False)]),
    ],
)
def test_labels_are_found(body: str, found: list[tuple[int, bool]]) -> None:
    assert [label[:2] for label in labels("void f(int a)\n{\n" + body + "\n}")] == [
        (n + 2, named) for n, named in found
    ]


@pytest.mark.parametrize(
    ("before", "joined"),
    [
        ("f();", False),
        ("if (a) f();", True),
        ("if (a) { f(); } else g();", True),
        ("while (a) f();", True),
        ("do f(); while (a);", True),
        ("{ f(); }", False),
        ("{ if (a) f(); }", True),
        ("x = a ? b : c;", False),
        ("if (a) f(); return;", False),
    ],
)
def test_control_comes_from_inside_of_the_statement_before(before: str, joined: bool) -> None:
    (label,) = labels("void f(int a)\n{\nswitch (a) {\n" + before + "\ncase 1: f();\n}\n}")
    assert label == (5, False, joined)


def test_comments_texts_and_directives_are_no_source(tmp_path: Path) -> None:
    path = tmp_path / "x.c"
    path.write_text(
        "int f(void)\n{\n/* a: */ // b:\n#define C c:\nconst char *t = \"; d:\";\nchar e = ':';\ng: return 1;\n}\n"
    )
    assert [label.line for label in Source().labels(str(path), 1, 8)] == [7]


@given(st.lists(st.sampled_from(PUNCTUATION + WORDS), max_size=40))
def test_any_text_is_read_to_its_end(tokens: list[str]) -> None:
    Statements(["f ( ) {", *tokens], 1)
    assert len(labels("f ( ) {\n" + "\n".join(tokens))) <= len(tokens)
