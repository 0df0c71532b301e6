"""The ``analyze`` handler: songs in, their figures out.

A drop is one song, or a folder of songs; a song that cannot be analysed is a warning as long as
another one can.
"""

from collections import Counter
from pathlib import Path

from daemon.errors import BadInput, NothingToDo
from daemon.handlers.contract import Note, Result, Task
from daemon.handlers.index_page import write_index
from daemon.handlers.song import SongOptions, analyse_song
from dsp.containers.identify import AUDIO_SUFFIXES
from dsp.containers.junk import files_in

ACCEPTS = AUDIO_SUFFIXES
JUDGE = "any"
HEADLINE = ("songs", "bpm", "key", "integrated_lufs")
STAGES = ("analyse",)


class Options(SongOptions):
    """The settings of an analysis."""


def handle(task: Task) -> Result:
    """Analyse every song of the drop.

    Raises
    ------
    BadInput
        No song can be used; the code is that of most of them.
    NothingToDo
        There is no song.
    """
    songs = _songs_in(task.source)
    if not songs:
        raise NothingToDo("NO_AUDIO", f"there is no song in {task.name!r}", "Put songs into it.")
    found: list[Result] = []
    failed: dict[str, BadInput] = {}
    for place, (name, path) in enumerate(songs.items()):

        def report(share: float, before: int = place) -> None:
            task.report("analyse", (before + share) / len(songs))

        folder = Path(name) if task.source.is_dir() else Path()
        try:
            found.append(analyse_song(task, path, name, folder, report))
        except BadInput as error:
            failed[name] = error
    if not found:
        commonest = Counter(error.code for error in failed.values()).most_common(1)[0][0]
        raise next(error for error in failed.values() if error.code == commonest)
    notes = [Note("SONG_FAILED", f"{error.code}: {error.message}") for error in failed.values()]
    outputs = [output for one in found for output in one.outputs]
    if task.source.is_dir():
        seconds = sum(float(str(one.measurements["duration_s"])) for one in found)
        rows = {name: failed.get(name) for name in songs}
        outputs.append(write_index(task.workdir, rows, title=task.name, seconds=seconds))
    return Result(
        outputs=tuple(outputs),
        measurements=found[0].measurements if len(songs) == 1 else {"songs": len(found)},
        notes=(*notes, *(note for one in found for note in one.notes)),
        inputs=tuple(said for one in found for said in one.inputs),
    )


def _songs_in(source: Path) -> dict[str, Path]:
    """Return the files with a name of audio, by their path below the drop."""
    if not source.is_dir():
        return {source.name: source}
    return {
        path.relative_to(source).as_posix(): path
        for path in files_in(source)
        if path.suffix.lower() in AUDIO_SUFFIXES
    }
