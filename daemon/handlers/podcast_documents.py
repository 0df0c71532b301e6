"""What lies beside an episode: chapters, subtitles, an RSS item, a page."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from daemon.handlers.article.reading import Article
from daemon.handlers.speech.speaking import Made
from dsp.episode.tags import Chapter
from dsp.report.template import rendered

_TYPES = {"mp3": "audio/mpeg", "opus": "audio/ogg", "m4b": "audio/mp4"}


@dataclass(frozen=True)
class Row:
    """A piece as the page shows it."""

    start_s: float
    end_s: float
    text: str
    speaker: str
    voice: str
    heading: bool
    made: Made


def chapters_of(article: Article, rows: Sequence[Row], duration_s: float) -> list[Chapter]:
    """Return the headings as chapters; what stands before the first is one of the title."""
    if not article.front.chapters:
        return []
    marks = [(row.start_s, row.text) for row in rows if row.heading]
    if not marks:
        return []
    if not rows[0].heading:
        marks.insert(0, (0.0, article.title))
    marks[0] = (0.0, marks[0][1])
    ends = [start_s for start_s, _ in marks[1:]] + [duration_s]
    return [Chapter(at_s, end_s, text) for (at_s, text), end_s in zip(marks, ends, strict=True)]


def chapters_json(chapters: Sequence[Chapter]) -> str:
    """Return chapters as the podcast namespace has them (JSON Chapters 1.2.0)."""
    listed = [
        {"startTime": round(one.start_s, 3), "endTime": round(one.end_s, 3), "title": one.title}
        for one in chapters
    ]
    return json.dumps({"version": "1.2.0", "chapters": listed}, ensure_ascii=False, indent=1) + "\n"


def transcript_vtt(rows: Sequence[Row]) -> str:
    """Return the text as WebVTT, with who speaks."""
    cues = []
    for row in rows:
        voice = f"<v {escape(row.speaker)}>" if row.speaker else ""
        cues.append(f"{_stamp(row.start_s)} --> {_stamp(row.end_s)}\n{voice}{escape(row.text)}\n")
    return "WEBVTT\n\n" + "\n".join(cues)


def rss_item(article: Article, name: str, size: int, duration_s: float, guid: str) -> str:
    """Return an RSS item; its addresses are relative, whoever publishes completes them."""
    kind = _TYPES[name.rpartition(".")[2]]
    author = article.front.author
    lines = [
        "<item>",
        f"  <title>{escape(article.title)}</title>",
        *([f"  <itunes:author>{escape(author)}</itunes:author>"] if author else []),
        f'  <guid isPermaLink="false">{guid}</guid>',
        f'  <enclosure url={quoteattr(name)} length="{size}" type="{kind}"/>',
        f"  <itunes:duration>{round(duration_s)}</itunes:duration>",
        '  <podcast:transcript url="transcript.vtt" type="text/vtt"/>',
        '  <podcast:chapters url="chapters.json" type="application/json+chapters"/>',
        "</item>",
    ]
    return "\n".join(lines) + "\n"


def page(
    article: Article,
    rows: Sequence[Row],
    chapters: Sequence[Chapter],
    *,
    episode: str,
    engine: str,
    figures: Sequence[tuple[str, str]],
    warnings: Sequence[str],
) -> str:
    """Return the report: a player, the text that can be clicked, and each piece's making."""
    return rendered(
        "podcast.html.j2",
        styles=("report.css", "podcast.css"),
        scripts=("podcast.js",),
        media="'self' file:",
        article=article,
        rows=rows,
        chapters=chapters,
        episode=episode,
        engine=engine,
        figures=figures,
        warnings=warnings,
    )


def _stamp(at_s: float) -> str:
    ms = round(1_000 * at_s)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1_000 % 60:02}.{ms % 1_000:03}"
