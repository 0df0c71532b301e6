"""Whatever code a person meets, the page explains it."""

import ast
import re
from pathlib import Path

import pytest

from daemon.codes import CODES, FAULTS, page

ROOT = Path(__file__).parents[1]
CAPITALS = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
CODE = re.compile(r"[A-Z][A-Z0-9_]+")
ERRORS = {"BadInput", "NothingToDo", "Unavailable", "AudioFormatError", "SpoolError", "_fail"}
NO_CODES = re.compile(
    r"SOUNDSPOOL_CONFIG|DSP_KERNELS|NOTIFY_SOCKET|WATCHDOG_\w+|JOURNAL_STREAM|SYSLOG_\w+"
    r"|LISTEN_\w+|PYDANTIC_\w+"  # systemd, pydantic
    r"|CUDA_VISIBLE_DEVICES"
    r"|LC_\w+|LD_LIBRARY_PATH|\w+_NUM_THREADS|JOBLIB_\w+|LOKY_\w+|NO_COLOR"  # other variables
    r"|PCM_\w+|MPEG_LAYER_I+"  # what libsndfile calls formats
)


def constants():
    """Yield every text in capitals of the source, with its file and whether an error gets it."""
    for package in ("daemon", "dsp"):
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text("utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and node.args:
                    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                    if name in ERRORS and isinstance(node.args[0], ast.Constant):
                        yield node.args[0].value, path, True
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value, path, False


def codes_in_source():
    """Return every code, by the rule: what is written IN_CAPITALS is one, unless listed."""
    return {
        text: str(path.relative_to(ROOT))
        for text, path, raised in constants()
        if (CODE if raised else CAPITALS).fullmatch(text) and not NO_CODES.fullmatch(text)
    }


def test_every_code_in_the_source_is_explained():
    """Raised, warned of or shown: it stands in the table."""
    found = codes_in_source()

    assert len(found) > 50
    assert {} == {code: where for code, where in found.items() if code not in CODES}


def test_every_explained_code_is_in_the_source():
    """The page explains nothing that cannot happen."""
    texts = {text for text, path, _ in constants() if path.name != "codes.py"}

    assert set() == CODES.keys() - texts


@pytest.mark.parametrize("code", CODES)
def test_explanations_are_sentences(code):
    """What it means and what to do, each with its end."""
    about = CODES[code]

    assert CODE.fullmatch(code)
    assert about.fault in FAULTS
    for text in (about.meaning, about.hint):
        assert text[0].isupper()
        assert text.endswith(".")
        assert "|" not in text


def test_page_is_current():
    """Run ``python -m daemon.codes > docs/errors.md`` when it is not."""
    assert "\n".join(page()) + "\n" == (ROOT / "docs" / "errors.md").read_text("utf-8")
