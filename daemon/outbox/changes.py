"""What differs between a result and the one before it of the same drop's name, in a few words.

Pure: two rows in, sentences out. Settings, files, and what was measured: whoever mixes a song
again wants to see what that changed, and where the other mix lies.
"""

from collections.abc import Iterator, Mapping

from daemon.jobs.job import Job
from daemon.text import count, figure

_MOST, _CHARS = 6, 100
_NOT_TOLD = frozenset({"force", "priority", "soundspool"})


def changes_of(before: Job, now: Job) -> list[str]:
    """Return what changed from one result to the next."""
    return [*_settings(before, now), *_files(before, now), *_figures(before, now)]


def _settings(before: Job, now: Job) -> Iterator[str]:
    had, has = (dict(_flat(job.options)) for job in (before, now))
    keys = [key for key in sorted(had | has) if had.get(key) != has.get(key)]
    keys = [key for key in keys if key not in _NOT_TOLD and not key.endswith("_why")]
    alone = [key for key in keys if key not in had or key not in has]
    if len(alone) > _MOST:  # a recall sheet holds every number, the settings of a person few
        yield f"{'with' if len(has) > len(had) else 'without'} a recall sheet as settings"
        keys = [key for key in keys if key not in alone]
    for key in keys[:_MOST]:
        yield f"{_short(key)} {_short(had.get(key, 'unset'))} → {_short(has.get(key, 'unset'))}"
    if len(keys) > _MOST:
        yield f"{count(len(keys) - _MOST, 'more setting')}"


def _flat(options: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    if not isinstance(options, Mapping):
        yield prefix, options
        return
    for key, value in options.items():
        yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))


def _files(before: Job, now: Job) -> Iterator[str]:
    had, has = _read(before), _read(now)
    both = had.keys() & has.keys()
    for words, paths in (
        ("new", has.keys() - had.keys()),
        ("gone", had.keys() - has.keys()),
        ("another version", {path for path in both if had[path] != has[path]}),
    ):
        if paths:
            more = f" and {len(paths) - 2} more" if len(paths) > 2 else ""  # noqa: PLR2004 - two are named
            yield f"{', '.join(_short(path) for path in sorted(paths)[:2])}{more}: {words}"


def _read(job: Job) -> dict[str, object]:
    """Return what tells the files that were used apart: their hashes, else their sizes."""
    found = {str(one.get("path")): one.get("bytes") for one in job.inputs}
    read = job.result.get("inputs", ())
    return found | {str(one.get("path")): one.get("sha256") or one.get("bytes") for one in read}


def _figures(before: Job, now: Job) -> Iterator[str]:
    had, has = (job.result.get("measurements", {}) for job in (before, now))
    for name, value in has.items():
        old = had.get(name)
        numbers = isinstance(value, float) and isinstance(old, float | int)
        if numbers and round(old, 1) != round(value, 1):
            yield f"{figure(name, round(old, 1))} → {figure(name, round(value, 1))}"


def _short(value: object) -> str:
    text = str(value).encode("utf-8", "replace").decode()
    return text if len(text) <= _CHARS else f"{text[:_CHARS]}…"
