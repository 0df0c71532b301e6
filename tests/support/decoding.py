"""A handler that decodes many damaged files in one job, and counts how each of them ended."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from daemon.handlers.contract import Output, Result, Task
from dsp.errors import AudioFormatError
from dsp.formats.reader import Limits, StemReader, probe
from tests.support.mutations import mutants, seeds

BLOCK_FRAMES = 16_384
SLOW_S = 2.0
LIMITS = Limits(frames=2_000_000)
"""Small, so that a file that lies about its length is told on by its frames."""


@dataclass
class Options:
    seed: int = 0
    count: int = 0
    folder: str = ""
    """Originals besides those that are made."""
    corpus: str = ""
    """A folder of files to decode instead of mutants."""


def handle(task: Task) -> Result:
    """Decode every file, each second one as far as it goes; leave the last one in ``current``."""
    ends = Counter[str]()
    current = task.workdir / "current"
    for number, data in enumerate(_files(task.options)):
        current.write_bytes(data)
        ends[ending_of(current, accept_truncated=number % 2 == 0)] += 1
        task.report(f"decoded {number // 100} hundred", 0.0)
    (task.workdir / "ends.json").write_text(json.dumps(ends))
    return Result((Output("ends.json", "data"),), measurements=dict(ends))


def corpus(folder: Path) -> list[Path]:
    """Return the files of a corpus, always in the same order."""
    return sorted(path for path in folder.iterdir() if path.is_file())


def _files(options: Options) -> Iterator[bytes]:
    if options.corpus:
        return (path.read_bytes() for path in corpus(Path(options.corpus)))
    originals = seeds(Path(options.folder) if options.folder else None)
    return islice(mutants(originals, options.seed), options.count)


def ending_of(path: Path, *, accept_truncated: bool = False) -> str:
    """Return how decoding a file ends: ``decoded``, a code, or the name of an error."""
    began_s = time.monotonic()
    try:
        decode(path, accept_truncated=accept_truncated)
        end = "decoded"
    except AudioFormatError as error:
        end = error.code
    except Exception as error:  # noqa: BLE001 - to be counted, which is the point
        keep(path)
        end = f"ERROR {type(error).__name__}: {error}"[:200]
    if time.monotonic() - began_s > SLOW_S:
        keep(path)
        end = f"SLOW {end}"
    return end


def decode(path: Path, *, accept_truncated: bool = False) -> int:
    """Return the frames of a file, read to its end; accepting what is cut goes further in."""
    found = probe(path, name="fuzzed", limits=LIMITS, accept_truncated=accept_truncated)
    with StemReader(found, limits=LIMITS, accept_truncated=accept_truncated) as reader:
        while len(block := reader.read(BLOCK_FRAMES)):
            assert block.dtype == "float32"
            assert block.shape[1] == found.channels
    return reader.frames_read


def keep(path: Path) -> None:
    """Put a telling file where the job's output is, under a name of its own."""
    number = len(list(path.parent.glob("kept-*")))
    path.with_name(f"kept-{number}").write_bytes(path.read_bytes())
