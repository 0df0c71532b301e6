"""More files from the same render: other masters, other formats, parts of the mix, its stems.

Rules
-----
Rule 1: nothing is mixed twice. A part (``without``, ``only``) is summed from the same strips and
goes through the same chain; at the gain that the master was given, unless it has a target of its
own, so that it lies beside the master as it is.

Rule 2: each is decoded and measured like the master. Processed stems are float32 before the chain
on the sum: together they are the mix that goes into it. Speakers are the same in mono.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from dsp.audio import BLOCK_FRAMES
from dsp.errors import ParameterError
from dsp.formats.reader import Limits
from dsp.formats.resample import Resampler
from dsp.formats.writer import FORMAT_RATES_HZ
from dsp.mixing.presets import LOSSY, LOSSY_ROOM_DB, asked_of
from dsp.mixing.recall_sheet import Deliverable, Format, Master, Sheet
from dsp.mixing.render.master import master
from dsp.mixing.render.mixdown import Rendered, WorkFiles
from dsp.mixing.render.verify import Verified

_FOLDERS = {
    "processed": ("stems", "wav"),
    "preview": ("solos", "ogg"),
    "speakers": ("speakers", "wav"),
}
"""Where each kind of stems is written, and the suffix."""
_RESERVED = frozenset({"master", "report", "data", "sheet", "mix"})
_LOSSY_RATE_HZ = 48_000


@dataclass(frozen=True)
class Wanted:
    """One deliverable, with what the sheet leaves open filled in."""

    item: Deliverable
    name: str
    """Of its file, without the suffix."""
    heard: frozenset[str] | None
    """The stems of a part; ``None`` for the whole mix."""


@dataclass(frozen=True)
class Delivered:
    """One more file, measured."""

    role: str
    path: str
    """In the output folder."""
    heard: Verified
    why_missed: str
    """Why it is not as loud as it should be; empty where it is."""


def wanted_of(sheet: Sheet) -> list[Wanted]:
    """Return what is to be made beside the master and the stems.

    Raises
    ------
    ParameterError
        ``also`` names what is not there, or two of its files would have one name.
    """
    found: dict[str, Wanted] = {}
    for item in sheet.also:
        if item.stems:
            continue
        heard = _heard(item, sheet)
        name = item.name or _usual_name(item)
        file = f"{name}.{item.format or sheet.format}"
        if name.casefold() in _RESERVED or file.casefold() == f"final_mix.{sheet.format}":
            raise ParameterError(f"also: {file!r} is the name of another output; give it a name")
        if found.setdefault(file.casefold(), Wanted(item, name, heard)).item is not item:
            raise ParameterError(f"also: two files would be called {file!r}; name one of them")
    return list(found.values())


def _usual_name(item: Deliverable) -> str:
    asked = [
        item.preset or "",
        *(("without", *item.without) if item.without else ()),
        *(("only", *item.only) if item.only else ()),
    ]
    words = "_".join(filter(None, ["final_mix", *asked]))
    return re.sub(r"[^\w ()-]+", "_", words)[:64]


def _heard(item: Deliverable, sheet: Sheet) -> frozenset[str] | None:
    """Return the stems of a part."""
    if not (item.without or item.only):
        return None
    for name in (*item.without, *item.only):
        if not _named(name, sheet):
            known = ", ".join(sorted({stem.role for stem in sheet.stems.values()}))
            raise ParameterError(f"also: no stem and no role is {name!r}; the roles are {known}")
    only = {stem for name in item.only for stem in _named(name, sheet)} or set(sheet.stems)
    heard = only - {stem for name in item.without for stem in _named(name, sheet)}
    if not heard:
        raise ParameterError(f"also: {item.name or _usual_name(item)!r} would hold no stem")
    return frozenset(heard)


def _named(name: str, sheet: Sheet) -> set[str]:
    return {stem for stem, strip in sheet.stems.items() if name in (stem, strip.role)}


@dataclass(frozen=True)
class Deliveries:
    """All that was made beside the master."""

    masters: tuple[Delivered, ...]
    stems: tuple[Path, ...]
    """In folders of their own in the output folder."""

    def warnings(self) -> list[tuple[str, str]]:
        """Return which masters are not as loud as they should be, and why."""
        return [
            ("TARGET_NOT_REACHED", f"{one.path} has {one.heard.integrated_lufs:.1f} LUFS: {why}")
            for one in self.masters
            if (why := one.why_missed)
        ]

    def outputs(self) -> dict[str, str]:
        """Return role → file."""
        stems = (f"{path.parent.name}/{path.stem}" for path in self.stems)
        files = (f"{path.parent.name}/{path.name}" for path in self.stems)
        return {one.role: one.path for one in self.masters} | dict(zip(stems, files, strict=True))


def stem_paths(
    sheet: Sheet, out: Path, kind: Literal["processed", "preview", "speakers"] = "processed"
) -> dict[str, Path]:
    """Return where each stem is written, by its name; nothing where none is asked for.

    No part of a name leads out of the folder.

    Raises
    ------
    ParameterError
        Speakers are asked for, and no stem has that role.
    """
    if not any(item.stems == kind for item in sheet.also):
        return {}
    inside, suffix = _FOLDERS[kind]
    folder, paths, taken = out / inside, dict[str, Path](), set[str]()
    stems = [
        stem
        for stem, strip in sheet.stems.items()
        if not strip.mute and (kind != "speakers" or strip.role == "speech")
    ]
    if kind == "speakers" and not stems:
        raise ParameterError("also: speakers are asked for, and no stem has the role speech")
    folder.mkdir()
    for stem in stems:
        plain = re.sub(r"[^\w ().-]+", "_", stem.rsplit(".", 1)[0].replace("/", " - "))[:80].strip(
            ". "
        )
        name, count = plain or "stem", 1
        while name.casefold() in taken:
            count += 1
            name = f"{plain or 'stem'} ({count})"
        taken.add(name.casefold())
        paths[stem] = folder / f"{name}.{suffix}"
    return paths


def deliver(
    rendered: Rendered,
    wanted: Sequence[Wanted],
    sheet: Sheet,
    out: Path,
    *,
    limits: Limits,
    report: Callable[[float], None],
) -> Iterator[Delivered]:
    """Make each in turn, and measure it.

    Parameters
    ----------
    sheet : Sheet
        As the master was made.
    report : callable
        Told the share that is done, 0..1.
    """
    for place, one in enumerate(wanted):
        part = rendered if one.heard is None else rendered.parts[one.heard]
        made = _sheet_of(one, sheet)
        at_rate = part if made.rate_hz == sheet.rate_hz else _resampled(part, sheet, made, out)
        try:
            path = out / f"{one.name}.{made.format}"
            done = master(at_rate, made, path, limits=limits, report=_within(report, place, wanted))
        finally:
            if at_rate is not part:
                at_rate.remove()
        yield Delivered(one.name, path.name, done.heard, done.why_missed)


def _within(
    report: Callable[[float], None], place: int, wanted: Sequence[Wanted]
) -> Callable[[float], None]:
    return lambda share: report((place + share) / len(wanted))


def _sheet_of(one: Wanted, sheet: Sheet) -> Sheet:
    """Return the sheet that the file is mastered by."""
    item, form = one.item, one.item.format or sheet.format
    bits = item.bits or sheet.bits
    rates_hz = FORMAT_RATES_HZ.get(form, (sheet.rate_hz,))
    return sheet.model_copy(
        update={
            "format": form,
            "bits": min(bits, 24) if form == "flac" else bits,
            "rate_hz": sheet.rate_hz if sheet.rate_hz in rates_hz else _LOSSY_RATE_HZ,
            "master": _master_of(one, sheet, form),
        }
    )


def _master_of(one: Wanted, sheet: Sheet, form: Format) -> Master:
    item, chain = one.item, sheet.master
    if item.preset or item.target_lufs is not None or item.ceiling_dbtp is not None:
        target_lufs = item.target_lufs
        if target_lufs is None and item.preset is None:
            target_lufs = chain.target_lufs
        asked = asked_of(item.preset or sheet.preset, target_lufs, item.ceiling_dbtp, form)
        return chain.changed(
            target_lufs=asked.target_lufs,
            ceiling_dbtp=asked.ceiling_dbtp,
            max_mean_reduction_db=asked.max_mean_reduction_db,
            make_up_db=None,
        )
    if form in LOSSY and sheet.format not in LOSSY:
        chain = chain.changed(ceiling_dbtp=chain.ceiling_dbtp - LOSSY_ROOM_DB)
    return chain if one.heard is not None else chain.changed(make_up_db=None)


def _resampled(part: Rendered, sheet: Sheet, made: Sheet, workdir: Path) -> Rendered:
    """Return the same at the rate of the file."""
    resampler = Resampler(sheet.rate_hz, made.rate_hz, 2)
    frames = 0
    with closing(WorkFiles(workdir, "resampled", made.rate_hz)) as work:
        with part.sound.open("rb") as sound:
            while len(taken := np.fromfile(sound, np.float32, BLOCK_FRAMES * 2)):
                done = resampler.process(taken.reshape(-1, 2))
                frames += len(done)
                work.put(done)
        rest = resampler.finish()
        work.put(rest)
    return work.rendered(frames + len(rest))
