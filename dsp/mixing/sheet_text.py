"""The recall sheet as a person reads and edits it: ``mix.yaml``."""

import yaml

from dsp.mixing.recall_sheet import Sheet

_HEAD = """\
# The recall sheet of this mix: every number that was decided, and why.
# Change any of them, put this file into the folder of stems and drop the folder again:
# the same song with your changes, everything else exactly as before.
# Remove a line, and it is decided anew. Gains are in dB, lag_ms > 0 means "starts late".
"""


class _Dumper(yaml.SafeDumper):
    """Quotes text with invisible characters, so that they can be escaped."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)


def text_of(sheet: Sheet) -> str:
    """Return the recall sheet as YAML that reads back to the same numbers and names.

    What cannot be printed is escaped: names are untrusted, and may reverse a line.
    """
    plain = sheet.model_dump(mode="json")
    body = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    shown = (c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in body)
    return _HEAD + "".join(shown)
