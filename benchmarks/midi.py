"""MIDI files as ``mma`` writes them: tuned, timed, taken apart.

Every channel has a track of its own, and the first track holds the tempo map alone.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

DRUMS = 9
_NOTE_OFF, _NOTE_ON, _PROGRAM, _PRESSURE, _SYSTEM, _META = 8, 9, 12, 13, 0xF0, 0xFF
_TEMPO = 0x51


@dataclass(frozen=True)
class Event:
    """What a track says at a tick."""

    tick: int
    status: int
    """The kind times 16 plus the channel; 255 for meta events."""
    data: bytes
    """Of a meta event its kind and content."""


@dataclass(frozen=True)
class Note:
    """A note that is played."""

    start_s: float
    stop_s: float
    number: int
    """60 is the C in the middle."""
    velocity: int


def tuned(midi: bytes, cents: float) -> bytes:
    """Return a MIDI file with one more track, which tunes all channels but the drums'.

    Registered parameter 1 is the fine tuning: 64 is none, 0 a semitone down (MIDI 1.0). Its
    lower seven bits are left at 0, because fluidsynth reads them only when they come first.
    """
    value = 64 + round(cents * 0.64)
    events = b""
    for channel in (one for one in range(16) if one != DRUMS):
        for control, data in ((101, 0), (100, 1), (38, 0), (6, value)):
            events += bytes((0, 0xB0 | channel, control, data))
    more = events + b"\x00\xff\x2f\x00"
    return _file(midi, [*_tracks(midi), more])


def drums_of(midi: bytes) -> bytes:
    """Return a MIDI file without the tracks that play tones."""
    tempo, *others = _tracks(midi)
    plain = [
        track
        for track in others
        if all(one.status & 15 == DRUMS for one in _events(track) if one.status < _SYSTEM)
    ]
    return _file(midi, [tempo, *plain])


def quarters_of(midi: bytes, count: int) -> list[float]:
    """Return when each quarter is played, in seconds, by the tempo map of the first track."""
    clock = _Clock(midi)
    return [round(clock.seconds(quarter * clock.division), 6) for quarter in range(count)]


def notes_of(midi: bytes) -> list[Note]:
    """Return the notes that are tones."""
    clock, notes = _Clock(midi), []
    for track in _tracks(midi)[1:]:
        sounding: dict[tuple[int, int], Event] = {}
        for event in _events(track):
            kind, channel = divmod(event.status, 16)
            if kind not in (_NOTE_OFF, _NOTE_ON) or channel == DRUMS:
                continue
            place = channel, event.data[0]
            if began := sounding.pop(place, None):
                times = clock.seconds(began.tick), clock.seconds(event.tick)
                notes.append(Note(*times, began.data[0], began.data[1]))
            if kind == _NOTE_ON and event.data[1]:
                sounding[place] = event
    return notes


class _Clock:
    """From ticks to seconds."""

    def __init__(self, midi: bytes) -> None:
        self.division = struct.unpack(">H", midi[12:14])[0]
        self._ticks, self._seconds, self._micros = [0], [0.0], [500_000]
        for event in _events(_tracks(midi)[0]):
            if event.status == _META and event.data[0] == _TEMPO:
                self._seconds.append(self.seconds(event.tick))
                self._ticks.append(event.tick)
                self._micros.append(int.from_bytes(event.data[1:], "big"))

    def seconds(self, tick: int) -> float:
        """Return when a tick is."""
        place = bisect_right(self._ticks, tick) - 1
        gone = (tick - self._ticks[place]) * self._micros[place] / self.division / 1e6
        return self._seconds[place] + gone


def _tracks(midi: bytes) -> list[bytes]:
    tracks, place = [], 14
    while place < len(midi):
        length = struct.unpack(">I", midi[place + 4 : place + 8])[0]
        tracks.append(midi[place + 8 : place + 8 + length])
        place += 8 + length
    return tracks


def _file(midi: bytes, tracks: list[bytes]) -> bytes:
    _, form, _, division = struct.unpack(">4xIHHH", midi[:14])
    head = struct.pack(">4sIHHH", b"MThd", 6, form, len(tracks), division)
    return head + b"".join(b"MTrk" + struct.pack(">I", len(one)) + one for one in tracks)


def _events(track: bytes) -> Iterator[Event]:
    place = tick = status = 0

    def number() -> int:
        nonlocal place
        value = 0
        while True:
            byte = track[place]
            place += 1
            value = value << 7 | byte & 127
            if byte < 128:  # noqa: PLR2004
                return value

    while place < len(track):
        tick += number()
        if track[place] >= 128:  # noqa: PLR2004 - else the status before goes on
            status = track[place]
            place += 1
        head = b""
        if status == _META:
            head, place = track[place : place + 1], place + 1
        length = number() if status >= _SYSTEM else 1 if status >> 4 in (_PROGRAM, _PRESSURE) else 2
        yield Event(tick, status, head + track[place : place + length])
        place += length
