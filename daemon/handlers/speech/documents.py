"""What a transcript is written as: JSON, text, subtitles and a page."""

from collections.abc import Sequence
from pathlib import Path

from daemon.handlers.contract import Output
from daemon.handlers.speech import transcript
from dsp.report.transcript_page import transcript_page


def write_documents(
    document: transcript.Transcript, formats: Sequence[str], workdir: Path
) -> list[Output]:
    """Write the transcript in the formats that are wanted, subtitles for each recording."""
    texts: dict[str, tuple[str, str]] = {}
    if "json" in formats:
        texts["transcript.json"] = document.model_dump_json(indent=1) + "\n", "data"
    writers = {"txt": transcript.text_of, "srt": transcript.srt_of, "vtt": transcript.vtt_of}
    for file in document.files:
        segments = [one for one in document.segments if one.file == file.name]
        stem = "transcript" if len(document.files) == 1 else f"{file.name}.transcript"
        for kind in formats:
            if kind in writers:
                texts[f"{stem}.{kind}"] = writers[kind](segments), kind
    texts["report.html"] = transcript_page(document.model_dump(mode="json")), "report"
    for name, (text, _) in texts.items():
        (workdir / name).parent.mkdir(parents=True, exist_ok=True)
        (workdir / name).write_text(text, "utf-8", errors="replace")
    return [Output(name, role) for name, (_, role) in texts.items()]
