"""The summary of a transcript by a language model: of its parts first, then of those."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from daemon.handlers.contract import Task
from daemon.handlers.grants import Url
from daemon.handlers.speech.client import SpeechClient

_CHUNK_CHARS = 12_000
_COMBINE = "These are summaries of the parts of one transcript, in order. Make them one."


class Summary(BaseModel):
    """How a summary is made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: Url
    """A server with ``/v1/chat/completions``; the operator's to say."""
    api_key_file: str = ""
    api_key_env: str = ""
    model: Annotated[str, Field(max_length=300)] = ""
    prompt: Annotated[str, Field(max_length=4_000)] = "Summarise this transcript briefly."


def summary_of(wanted: Summary, text: str, task: Task) -> str:
    """Return the summary of a text of any length.

    Raises
    ------
    SpoolError
        There is none; the code says why.
    """
    key = task.secrets.get("summary.api_key", "")
    client = SpeechClient(wanted.endpoint, key, grants=task.grants)
    chunks = _chunks(text)
    while True:
        said = [_asked(client, wanted, wanted.prompt, chunk) for chunk in chunks]
        if len(said) == 1:
            return said[0]
        together = "\n\n".join(said)
        fewer = _chunks(together)
        if len(fewer) == 1 or len(fewer) >= len(chunks):
            return _asked(
                client, wanted, f"{_COMBINE}\n{wanted.prompt}", together[: 4 * _CHUNK_CHARS]
            )
        chunks = fewer


def _asked(client: SpeechClient, wanted: Summary, prompt: str, text: str) -> str:
    messages = [{"role": "system", "content": prompt}, {"role": "user", "content": text}]
    return client.chat(messages, wanted.model)


def _chunks(text: str) -> list[str]:
    """Return a text in pieces that end between words."""
    found, rest = [], text
    while len(rest) > _CHUNK_CHARS:
        cut = rest.rfind(" ", 1, _CHUNK_CHARS)
        cut = cut if cut > 0 else _CHUNK_CHARS
        found.append(rest[:cut])
        rest = rest[cut:]
    return [*found, rest]
