"""One song of an analysis: from its file to its documents."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from soundfile import SoundFileError

from daemon.errors import BadInput
from daemon.handlers.contract import Output, Task
from dsp.analysis.document import Analysis, text_of
from dsp.analysis.options import AnalysisOptions
from dsp.analysis.song import Analysed, analyse
from dsp.errors import AudioFormatError
from dsp.formats.reader import Limits
from dsp.report.peaks import peaks_dat, peaks_json
from dsp.report.song_page import song_page


class SongOptions(AnalysisOptions):
    """What is asked of one song, and what the operator allows."""

    peaks: Literal["json", "dat", "none"] = "json"
    """The outline for players and editors."""
    tags: Literal["none", "copy"] = "none"
    """``copy``: a copy of each song with tempo and key in its tags."""
    foreign: bool = True
    """Whether the ``ffmpeg`` program may decode what libsndfile cannot (M4A, WebM)."""

    def of_numbers(self) -> AnalysisOptions:
        """Return the options that change numbers, without the others."""
        names = AnalysisOptions.model_fields
        return AnalysisOptions.model_validate(self.model_dump(include=set(names)))


def analysed(
    task: Task, path: Path, name: str, report: Callable[[float], None], sha256: str = ""
) -> Analysed:
    """Return the analysis of one song.

    Raises
    ------
    BadInput
        The file cannot be used.
    """
    options: SongOptions = task.options
    try:
        return analyse(
            path,
            options.of_numbers(),
            report,
            name=name,
            limits=Limits(**task.limits),
            foreign=options.foreign,
            sha256=sha256,
        )
    except AudioFormatError as error:
        raise BadInput(error.code, error.message, error.hint, error.path) from error
    except SoundFileError as error:  # its own words help nobody
        raise RuntimeError("the sound engine failed; the drop is not at fault") from error


def input_of(analysis: Analysis) -> dict[str, object]:
    """Return what a result says of a file that was read."""
    names = ("bytes", "sha256", "frames", "rate_hz", "channels")
    return {"path": analysis.file.name} | {name: getattr(analysis.file, name) for name in names}


def write_documents(
    made: Analysed, workdir: Path, folder: Path, options: SongOptions
) -> tuple[Output, ...]:
    """Write what is said of a song; return what was written."""
    (workdir / folder).mkdir(parents=True, exist_ok=True)
    written: list[str] = []

    def write(name: str, parts: Iterable[bytes]) -> None:  # of hours, all at once are much
        with (workdir / folder / name).open("wb") as file:
            file.writelines(parts)
        written.append(name)

    rate_hz = made.analysis.file.rate_hz
    write("analysis.json", [text_of(made.analysis).encode()])
    if options.peaks == "json":
        write("peaks.json", peaks_json(made.outline, rate_hz))
    elif options.peaks == "dat":
        write("peaks.dat", [peaks_dat(made.outline, rate_hz)])
    up = "../" * len(folder.parts) + "index.html" if folder.parts else ""
    document = made.analysis.model_dump(mode="json", by_alias=True)
    write("analysis.html", [song_page(document, made.outline, up=up).encode()])
    roles = {"analysis.json": "data", "analysis.html": "report"}
    return tuple(
        Output(
            (folder / name).as_posix(),
            roles.get(name, "peaks"),
            measurements_of(made.analysis) if name == "analysis.json" else {},
        )
        for name in written
    )


def measurements_of(analysis: Analysis) -> dict[str, object]:
    """Return the figures that overviews show of a song, those that exist."""
    figures = {
        "bpm": analysis.tempo.bpm.value,
        "key": analysis.key.name.value,
        "integrated_lufs": analysis.loudness.integrated_lufs.value,
        "true_peak_dbtp": analysis.loudness.true_peak_dbtp.value,
        "duration_s": analysis.file.duration_s,
    }
    return {name: value for name, value in figures.items() if value is not None}
