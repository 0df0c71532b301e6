"""The page about the architecture names what there is."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text("utf-8")


@cache
def defined():
    """Return every class, function, method and constant of the project, as the page writes them."""
    names = set()
    for package in ("daemon", "dsp"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    names |= {node.name} | {
                        f"{node.name}.{inner.name}"
                        for inner in node.body
                        if isinstance(inner, ast.FunctionDef)
                    }
                elif isinstance(node, ast.FunctionDef):
                    names.add(node.name)
    return names


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\b[A-Z]\w+\.[a-z]\w+\b", PAGE))))
def test_method_on_the_page_exists(name):
    """A reader finds what the picture and the tables name."""
    assert name in defined()


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"\b(?:daemon|dsp|tests)/[\w/]+\.py", PAGE)))
)
def test_file_on_the_page_exists(path):
    """The list of what to read leads to files that are there."""
    assert (ROOT / path).is_file()


def test_packages_on_the_page_are_those_of_the_code():
    """Every package has its row."""
    for package in ("daemon", "dsp"):
        for found in (ROOT / package).glob("*/__init__.py"):
            assert f"`{found.parent.name}/`" in PAGE
