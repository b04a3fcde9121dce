"""Write the pages of docs/reference that come from the code: ``python docs/generate.py`` (``--check`` only compares).

Exit codes, the index of diagnostics, relocation tables, targets and the command line's help are each a table in the
code, the rules of the loader one in ``parity.toml``; ``tests/test_docs.py`` fails when a page is not what this makes of
them. Run it after changing one of the tables.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import tomllib
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from llext_tools import artifact, errors, explain
from llext_tools.cli import COMMANDS, LOW_LEVEL, MORE, overview, settings, settings_build, settings_pack
from llext_tools.cli.parser import parser_for
from llext_tools.cli.policy import UNSEEN
from llext_tools.diag import CODES
from pages_markdown import first_line, markdown, page, table
from pages_of_targets import loader_profiles, relocations, targets

SCHEMA = Path(artifact.__file__).with_name("schema.json")
REFERENCE = Path(__file__).parent / "reference"
PARITY = Path(__file__).with_name("parity.toml")
CMAKE = Path(__file__).parents[1] / "cmake"
PAGES_OF = "../../llext_tools/explain"
FAILURES = Path(__file__).parents[1] / "tests" / "check" / "failures"
GOLDEN_OF = "../../tests/golden/failures"
SETTINGS = """\
# llext.toml
target = "cortex-m4"
exports = ["build/zephyr/zephyr.elf"]
werror = true
ignore = ["export"]

[per-file-ignores]
"legacy/*.llext" = ["thread-local"]
"""


def exit_codes() -> str:
    """One row for each class of failure, with the diagnostics that end with it."""
    rows = []
    classes: list[type[errors.LlextError]] = errors.LlextError.__subclasses__()
    for error in sorted(classes, key=lambda e: e.exit_code):
        codes = " ".join(f"`{code}`" for code, row in CODES.items() if row.error is error)
        rows.append((str(error.exit_code), f"`{error.__name__}`", first_line(error), codes))
    rows += [(str(code), "", meaning, "") for code, meaning in errors.OTHER_EXIT_CODES.items()]
    rows.sort(key=lambda row: int(row[0]))
    return page(
        "Exit codes",
        "The same for every command: one for each class of failure. With several failures the first one decides.\n"
        "Only `llext build` and `llext demo`, where none comes first, give 12 if the failures are of several classes.",
        table(("code", "class", "meaning", "diagnostics"), rows),
    )


def diagnostics() -> str:
    """The index of diagnostics; the pages themselves are what ``llext explain CODE`` prints."""
    rows = [
        (
            f"[`{code}`]({PAGES_OF}/{code}.md)",
            row.severity,
            str(row.error.exit_code),
            f"`-{row.errno}`" if row.errno else "",
            gist(code),
        )
        for code, row in CODES.items()
    ]
    return page(
        "Diagnostics",
        "Each has a code, a place, and where the board would fail as well, what `llext_load()` returns there. "
        "`llext explain CODE` prints the page behind each link: what it means, an example, the cure. "
        "A warning alone ends with exit code 0; with `--werror` it is an error.",
        table(("code", "severity", "exit code", "on the board", "in short"), rows),
    )


def gist(code: str) -> str:
    """The first sentence of a page."""
    lines = explain.page(code).splitlines()[1:]
    paragraph = " ".join("\n".join(lines).strip().split("\n\n")[0].split())
    return paragraph.split(". ")[0].removesuffix(".")


def command_line() -> str:
    """The help of every command, at 80 columns."""
    os.environ["COLUMNS"] = "80"
    parts = [f"```text\n{overview()}\n```"]
    for title, commands in (("Commands", COMMANDS | MORE), ("Commands for the CMake helpers", LOW_LEVEL)):
        parts.append(f"## {title}")
        for name in commands:
            text = io.StringIO()
            with redirect_stdout(text):
                parser_for(name).print_help()
            parts.append(f"### llext {name}\n\n```text\n{text.getvalue().rstrip()}\n```")
    return page("Command line", "What `--help` prints. Exit codes: [exit-codes.md](exit-codes.md).", *parts)


def cmake() -> str:
    """The commands of the CMake package, as the comment in front of each has them."""
    parts = []
    for path in sorted(CMAKE.glob("Llext*.cmake")):
        for comment in re.findall(r"#\[=+\[\.rst:\n(.*?)#\]=+\]", path.read_text(encoding="utf-8"), re.DOTALL):
            name = re.search(r"\.\. cmake:(?:command|variable|module):: (\w+)", comment)
            if name:
                parts.append(f"## {name[1]}\n\n{markdown(comment[name.end() :])}")
    return page(
        "CMake",
        "After `find_package(LlextTools REQUIRED)`. An argument that cannot be honoured is an error; it names the "
        "command and the target.",
        *parts,
    )


def settings_file() -> str:
    """The keys of llext.toml, each with an example."""
    options = {"per-file-ignores": "", "exports": "--exports", "entries": "--entry"}
    rows = [(f"`{key}`", f"`{row.form}`", row.text, options.get(key, f"--{key}")) for key, row in settings.KEYS.items()]
    pack = [(f"`{key}`", f"`{row.form}`", row.text) for key, row in settings_pack.KEYS.items()]
    return page(
        "Settings",
        "What a project always wants of `llext check`, `build` and `pack` goes into a file, `llext.toml`, or into the "
        "table `[tool.llext]` of `pyproject.toml`. The nearest one counts, from the current folder upwards; in one "
        "folder `llext.toml` goes before `pyproject.toml`. `--settings FILE` names another one, `--no-settings` uses "
        "none. `llext_add_extension()` looks from the folder of its `CMakeLists.txt` upwards, unless `llext build` was "
        "given one of these options, or CMake `LLEXT_SETTINGS`; each build looks again, so that a file may come or go.",
        f"```toml\n{SETTINGS}```",
        table(("key", "for example", "what it does", "option"), [(*row[:3], row[3] and f"`{row[3]}`") for row in rows]),
        "An option on the command line takes the place of its key. The keys may stand in a table `[check]`. Paths "
        "start at the folder of the file. A text alone is as good as a list of one. What is wrong with the file is "
        "reported at once, with lines, as [`settings-syntax`](../../llext_tools/explain/settings-syntax.md).",
        "## The table `[build]`",
        "What `llext build` builds where the command line does not say. It looks for the file from the folder of the "
        "project upwards.",
        table(
            ("key", "for example", "what it does"),
            [(f"`{key}`", f"`{row.form}`", row.text) for key, row in settings_build.KEYS.items()],
        ),
        "With firmwares, each target is built for each of them, as a job `<target>-<toolchain>-<firmware>`. A table "
        "`[[build.firmware]]` has a name, a file, and what differs for it:",
        table(
            ("key", "for example", "what it does"),
            [(f"`{key}`", f"`{row.form}`", row.text) for key, row in settings_build.FIRMWARE.items()],
        ),
        "## The table `[pack]`",
        "What [`llext pack`](../how-to/pack-and-sign.md) and `llext verify` want to know stands in a table of its own, "
        "`[pack]` or `[tool.llext.pack]`:",
        table(("key", "for example", "what it is"), pack),
        "## Codes and families",
        "A code of a [diagnostic](diagnostics.md) stands for itself; its first words, as in `region` or `region-*`, "
        "stand for all that begin so; `all` is every code. On the command line several are separated by commas, or the "
        "option is repeated. An ignored error does not end a check: what comes after it is looked at all the same, "
        "undefined symbols then have some address. The [exit code](exit-codes.md) is that of the first error that is "
        "left.",
        "What keeps a file from being checked at all is reported whatever is selected or ignored: "
        + ", ".join(f"`{code}`" for code in CODES if code in UNSEEN)
        + ".",
        "Patterns of `per-file-ignores` are compared with the path from the folder of the file; `*` also stands for "
        "slashes. One without a slash is compared with the file's name.",
    )


def parity() -> str:
    """Each function, option and rule of Zephyr's LLEXT, with the tests that pin it, or why there are none."""
    areas = tomllib.loads(PARITY.read_text(encoding="utf-8"))["area"]
    parts = []
    for area in areas:
        parts.append(f"## {area['title']}")
        parts += [area["text"]] if "text" in area else []
        parts.append(table(("", "what holds", "pinned by"), [(r["item"], r["holds"], pins(r)) for r in area["row"]]))
    rows = [row for area in areas for row in area["row"]]
    absent = sum("host" in row for row in rows)
    return page(
        "Parity with Zephyr",
        f"What of Zephyr's LLEXT subsystem holds on the host: {len(rows)} rows, {len(rows) - absent} of them pinned by "
        f"tests, {absent} not on a host, each with the reason. Functions have Zephyr's names without `llext_` "
        "(`llext_load()` is `Runtime.load()`), Kconfig symbols are written without `CONFIG_`; where nothing else is "
        "said, the loader profile is `zephyr-next`. A case is a recorded answer of the loader's own code; "
        "`tests/conformance/test_load.py::test_load` compares return codes, regions, addresses, bytes, tables and use "
        "counts with it.",
        *parts,
    )


def pins(row: dict[str, Any]) -> str:
    """The tests and cases of a row, one on each line of its cell, or the reason why there are none."""
    if "host" in row:
        return f"not on a host: {row['host']}"
    tests = [f"`{test}`" for test in row.get("tests", ())]
    cases = [f"case {', '.join(f'`{case}`' for case in row['cases'])}"] if "cases" in row else []
    return "<br>".join(tests + cases)


def failures() -> str:
    """Each failure that a host can find, with its codes and the objects that the tests find it in."""
    found = {path.stem[:2]: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(FAILURES.glob("*.toml"))}
    count = sum(len(row["case"]) for row in found.values())
    return page(
        "Failures that are found on the host",
        "What can be wrong with an extension, what the board makes of it, and which diagnostic says so before. For "
        "each of the cases the tests build an object that has the fault and a twin that just does not: the first is "
        "found under the code given here, with the text behind the link, and nothing is said about the second. "
        f"{count} cases in all, most of them for Arm and for RISC-V. `llext check` finds them; `llext run` finds what "
        "only shows when code runs.",
        table(
            ("", "what is wrong", "on the board", "diagnostic", "cases"),
            [(str(int(n)), row["title"], row["board"], codes_of(row), cases_of(n, row)) for n, row in found.items()],
        ),
    )


def codes_of(row: dict[str, Any]) -> str:
    """The codes of a failure with their severities."""
    found: dict[str, set[str]] = {}
    for case in row["case"]:
        for code in [case["code"]] if isinstance(case["code"], str) else case["code"]:
            found.setdefault(code, set()).add(case.get("severity", "error"))
    links = (f"[`{code}`]({PAGES_OF}/{code}.md) ({' or '.join(sorted(how))})" for code, how in found.items())
    return "<br>".join(links)


def cases_of(number: str, row: dict[str, Any]) -> str:
    """The cases of a failure, each with the text that is printed for it."""
    texts = []
    for case in row["case"]:
        what = case.get("what", "").rstrip(".")
        texts.append(f"[{case['name']}]({GOLDEN_OF}/{number}-{case['name']}.txt)" + (what and f": {what}"))
    return "<br>".join(texts)


def manifest() -> str:
    """The keys of a manifest, one table for each object in it, from its JSON Schema."""
    schema: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
    parts = [table(("key", "value", "meaning"), keys_of(schema, schema))]
    for name, row in schema["properties"].items():
        inner = object_in(row, schema)
        if "properties" in inner:
            parts += [f"## `{name}`", table(("key", "value", "meaning"), keys_of(inner, schema))]
    return page(
        "The manifest of an extension",
        f"{schema['description']} Keys that are not marked as optional are always there. For programs the same is a "
        "[JSON Schema](../../llext_tools/artifact/schema.json) of draft 2020-12. What an artifact is tells "
        "[Keep what belongs together](../how-to/artifact.md).",
        *parts,
    )


def object_in(row: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The object that a key, or each item of it, has."""
    inner = row.get("items", row)
    more = inner.get("additionalProperties")
    more = referred(more["$ref"], schema) if isinstance(more, dict) and "$ref" in more else more
    found: dict[str, Any] = more if isinstance(more, dict) and "properties" in more else inner
    return found


def keys_of(row: dict[str, Any], schema: dict[str, Any]) -> list[tuple[str, str, str]]:
    found = []
    for name, value in row["properties"].items():
        known = {**referred(value["$ref"], schema), **value} if "$ref" in value else value
        optional = "" if name in row.get("required", ()) else " (optional)"
        kind = known.get("type", "one of" if "enum" in known else "text")
        if "const" in known or "enum" in known:
            kind = " or ".join(f"`{each}`" for each in known.get("enum", [known.get("const")]))
        names = {"string": "text", "integer": "number", "array": "list", "object": "table", "boolean": "true or false"}
        text = known.get("description", "")
        found.append(
            (f"`{name}`", names.get(kind, kind) + optional, text[:1].upper() + text[1:] + ("." if text else ""))
        )
    return found


def referred(pointer: str, schema: dict[str, Any]) -> dict[str, Any]:
    """What ``#/$defs/name`` points to."""
    for key in pointer.split("/")[1:]:
        schema = schema[key]
    return schema


PAGES = {
    "manifest.md": manifest,
    "failures.md": failures,
    "exit-codes.md": exit_codes,
    "diagnostics.md": diagnostics,
    "relocations.md": relocations,
    "profiles.md": loader_profiles,
    "targets.md": targets,
    "command-line.md": command_line,
    "cmake.md": cmake,
    "parity.md": parity,
    "settings.md": settings_file,
}


def main(arguments: Sequence[str]) -> int:
    stale = []
    for name, make in PAGES.items():
        path, text = REFERENCE / name, make()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(text, encoding="utf-8")
    print(f"{len(stale)} of {len(PAGES)} pages {'are stale' if '--check' in arguments else 'written'}", *stale)
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
