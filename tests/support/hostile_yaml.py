"""Values of every kind that YAML knows, as a hostile or a hurried person writes them."""

import json

from hypothesis import strategies as st
from pydantic import BaseModel

WORDS = (
    *("", "~", "null", "true", "no", "on", "rush", "0", "1", "-1", "1.5", "1e308", "-0.0"),
    *("1e999", ".nan", ".inf", "-.inf", "nan", "9" * 18, "9" * 30, "9" * 300, "0x7f", "1_000"),
    *("2026-11-20", "2026-11-20T12:30:00Z", "12:30", "=", "'1'", "''", "' '", '"é"', '"e\\u0301"'),
    *("../../etc/passwd", "/dev/zero", "~nobody-of-this-name/x", "%s%n", "${HOME}", "$(reboot)"),
    *(r'"\0"', r'"\ud800"', r'"\UFFFFFFFF"', r'"\e[2J"', '"\u202egnp.wav"', r'"a\nb"', "🎵"),
    "x" * 500,
)
COLLECTIONS = (
    *("[]", "{}", "[rush]", "[[]]", "{a: 1}", "[{a: 1}]", "{a: [b, {c: d}]}", "{1: 2}", "{~: 1}"),
    *("{true: 1}", "{[a]: 1}", "{{a: 1}: 2}", "{a: 1, a: 2}", "{'': 1}", "{files: []}"),
    *("[" * 19 + "]" * 19, "[" * 40, "{a: " * 18 + "1" + "}" * 18, "[1,2", "{a", "]", "}"),
    "[" + ", ".join(["x"] * 40) + "]",
    "{" + ", ".join(f"k{number}: 1" for number in range(40)) + "}",
)
BEYOND_DATA = (
    *("&a x", "*a", "[&a x, *a]", "{<<: {a: 1}}", "!!binary aGVsbG8=", "!!set {a, b}", "!x y"),
    *("!!timestamp 2026-11-20", "!!omap [a: 1]", "!!python/object/apply:os.system [reboot]"),
    *(
        "!!int x",
        "!!float .nan",
        "!!null x",
        "!!str 1",
        "- a",
        "? a",
        "| a",
        "> a",
        "@a",
        "`a",
        "%a",
    ),
)
HOSTILE = (*WORDS, *COLLECTIONS, *BEYOND_DATA)


def keys_of(model: type[BaseModel], **inside: type[BaseModel]) -> list[tuple[str, ...]]:
    """Return the path of each key of a model, those of its sections among them.

    `inside` names what a mapping from names to models holds.
    """
    found: list[tuple[str, ...]] = []
    for name, field in model.model_fields.items():
        found.append((name,))
        inner = inside.get(name, field.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            above = (name, "mix") if name in inside else (name,)
            found += [above] * (name in inside) + [(*above, *key) for key in keys_of(inner)]
    return found


def document(path: tuple[str, ...], value: str) -> str:
    """Return YAML in which the key at `path` has a value that was written as `value`."""
    return "".join(f"{'  ' * depth}{key}:\n" for depth, key in enumerate(path))[:-1] + f" {value}\n"


def values() -> st.SearchStrategy[str]:
    """Return texts of YAML values: of every type, nested in any way, or hostile."""
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    nested = st.recursive(
        plain | st.sampled_from(["rush", "a.wav", "f" * 64]),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["name", "bytes", "sha256", "a"]) | st.text(max_size=5), inner
            )
        ),
        max_leaves=12,
    )
    return st.sampled_from(HOSTILE) | nested.map(json.dumps)
