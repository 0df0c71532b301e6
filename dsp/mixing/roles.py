"""What a stem is, and what a mix wants of it.

A role is read from the words of the file name, in several languages, or given in the
settings. ``PROFILES`` holds what each role asks for: its loudness against the lead, its
place in the picture, its corner and its broad spectrum.

Rules
-----
Rule 1: a word names a role only as a whole word: ``bassoon`` is no bass.

Rule 2: of several words the narrower wins (``drums_hats`` is hats), except that kick and
snare in one stem are the drums, and a voice that backs is never the lead.

References
----------
Levels: Pestana, Reiss, "Intelligent audio production strategies informed by best
practices", AES 53rd, 2014; De Man, "Towards a better understanding of mix engineering",
2017. Spectra: Pestana et al., "Spectral characteristics of popular commercial
recordings", AES 135th, 2013, drawn as five broad regions.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """What a role asks of a mix."""

    level_lu: float
    """Integrated loudness of its active parts against the lead's."""
    pan: float = 0.0
    """How far from the middle a mono stem may sit, 0..1; the side is chosen for balance."""
    width: float = 1.0
    corner_hz: float = 30.0
    """High-pass: what lies below is not this role's."""
    spectrum_db: tuple[float, float, float, float, float] = (0.0, 0.0, -3.0, -8.0, -14.0)
    """Long-term level per third octave in ``REGIONS``, relative to each other."""
    ride: float = 0.0
    """Share of phrase-level loudness differences to even out."""
    air_db: float = 0.0
    """High shelf at 11 kHz."""
    drive_db: float = 0.0
    """Saturation: how far the stem is driven."""
    voice: bool = False
    """Sibilance is looked for."""


REGIONS = ((60.0, 200.0), (200.0, 600.0), (600.0, 2000.0), (2000.0, 6000.0), (6000.0, 16000.0))
"""Low, low middle, middle, presence, air: corners in Hz."""

PROFILES: dict[str, Profile] = {
    "lead": Profile(
        0.0, 0.0, 1.0, 80.0, (-12.0, 0.0, -3.0, -10.0, -18.0), 0.5, 1.0, 2.0, voice=True
    ),
    "speech": Profile(
        0.0, 0.0, 1.0, 80.0, (-6.0, 0.0, -6.0, -14.0, -20.0), 0.6, 0.5, 0.0, voice=True
    ),
    "backing": Profile(
        -8.0, 0.35, 1.2, 120.0, (-15.0, 0.0, -3.0, -9.0, -16.0), 0.4, 1.0, 1.0, voice=True
    ),
    "drums": Profile(-2.5, 0.0, 1.1, 30.0, (0.0, -6.0, -8.0, -9.0, -12.0), 0.0, 0.5, 2.0),
    "kick": Profile(-5.0, 0.0, 1.0, 30.0, (0.0, -12.0, -16.0, -18.0, -28.0), 0.0, 0.0, 2.0),
    "snare": Profile(-6.0, 0.0, 1.0, 80.0, (-4.0, 0.0, -4.0, -6.0, -10.0), 0.0, 0.5, 2.0),
    "hats": Profile(-11.0, 0.25, 1.1, 200.0, (-30.0, -22.0, -12.0, -3.0, 0.0)),
    "perc": Profile(-11.0, 0.4, 1.1, 100.0, (-12.0, -6.0, -4.0, 0.0, -3.0)),
    "bass": Profile(-4.0, 0.0, 1.0, 30.0, (0.0, -7.0, -16.0, -26.0, -40.0), 0.4, 0.0, 3.0),
    "guitar": Profile(-8.0, 0.5, 1.1, 90.0, (-8.0, 0.0, -3.0, -8.0, -20.0), 0.2, 0.0, 1.0),
    "keys": Profile(-8.0, 0.35, 1.0, 60.0, (-4.0, 0.0, -6.0, -14.0, -26.0), 0.2),
    "synth": Profile(-9.0, 0.4, 1.1, 60.0, (-4.0, 0.0, -4.0, -9.0, -16.0)),
    "pad": Profile(-12.0, 0.2, 1.3, 100.0, (-6.0, 0.0, -5.0, -12.0, -22.0)),
    "strings": Profile(-10.0, 0.35, 1.2, 90.0, (-8.0, 0.0, -4.0, -10.0, -20.0), 0.2),
    "brass": Profile(-8.0, 0.4, 1.1, 90.0, (-10.0, 0.0, -2.0, -8.0, -18.0), 0.2),
    "fx": Profile(-13.0, 0.3, 1.2, 40.0),
    "other": Profile(-8.0, 0.3, 1.0, 30.0),
}
"""Every role. ``lead`` and ``speech`` are what the rest makes room for."""

LEADS = frozenset({"lead", "speech"})
RHYTHM = frozenset({"drums", "kick", "snare", "hats", "perc"})

_WORDS: dict[str, str] = {
    "lead": "lead vocal vocals vox vocalist singer voice voices voc vx stimme gesang sänger voix "
    "chant chanteur voz vozes canto cantante solista zang 歌 ボーカル",
    "speech": "speech talk narration narrator host guest interview dialog dialogue sprecher "
    "sprache moderator podcast parole dialogo",
    "backing": "bgv bv bvs bvox backing backings harmony harmonies choir chor choeur chœur coro "
    "gang ahs oohs background adlib adlibs",
    "drums": "beat beats drum drums drumkit kit loop schlagzeug batterie bateria batería batteria "
    "overhead overheads oh room",
    "kick": "kick kik bd bassdrum bombo grosse cassa",
    "snare": "snare snr sd clap claps rim kleine caisse redoblante rullante",
    "hats": "hat hats hihat hihats hh cymbal cymbals crash ride becken",
    "perc": "perc percs percussion percussions conga congas bongo bongos shaker tambourine tamb "
    "cowbell tom toms",
    "bass": "bass bas sub subbass basse bajo basso baixo kontrabass contrabass 808",
    "guitar": "guitar guitars gtr git gitarre guitare guitarra chitarra acoustic banjo ukulele "
    "mandolin",
    "keys": "keys key piano pno rhodes organ orgel klavier tasten clavier teclado pianoforte "
    "epiano wurli wurlitzer keyboard",
    "synth": "synth synths syn arp lead_synth pluck plucks saw sequence seq",
    "pad": "pad pads atmo atmos ambience ambient drone texture",
    "strings": "string strings violin violins viola cello celli streicher cordes cuerdas archi "
    "geige",
    "brass": "brass horn horns trumpet trumpets trombone sax saxophone bläser cuivres metales "
    "ottoni flute clarinet woodwind winds",
    "fx": "fx sfx effect effects noise riser impact sweep foley",
}
_ROLE_OF = {word: role for role, words in _WORDS.items() for word in words.split()}
_NARROW_FIRST = (
    "backing", "lead", "speech", "bass", "guitar", "keys", "pad", "strings", "brass", "synth",
    "fx", "hats", "perc", "snare", "kick", "drums",
)  # fmt: skip


def words_of(name: str) -> list[str]:
    """Return the words of a file name: split at case changes, digits and punctuation."""
    stem = re.sub(r"\.[A-Za-z0-9]{2,4}$", "", name.rsplit("/", 1)[-1])
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem)
    return [word for word in re.split(r"[\W_]+|(?<=\D)(?=\d)", spaced.lower()) if word]


def role_of(name: str) -> tuple[str, str]:
    """Return a stem's role and the words that told it.

    Parameters
    ----------
    name : str
        The file's name, with or without folders and suffix.

    Returns
    -------
    tuple of str
        A key of ``PROFILES`` and a reason for the recall sheet.
    """
    told = {_ROLE_OF[word]: word for word in reversed(words_of(name)) if word in _ROLE_OF}
    if {"kick", "snare"} <= told.keys():
        return "drums", "its name says kick and snare"
    if "synth" in told and told.get("lead") == "lead":
        return "synth", f"its name says {told['synth']}"
    for role in _NARROW_FIRST:
        if role in told:
            return role, f"its name says {told[role]}"
    return "other", "its name names no role"
