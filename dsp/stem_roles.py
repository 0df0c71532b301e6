"""The roles that a stem may have, as the mix and its report know them."""

DESK = (
    "kick", "snare", "hats", "perc", "drums", "bass", "guitar", "keys", "synth", "pad", "strings",
    "brass", "lead", "speech", "backing", "fx", "music", "jingle", "other",
)  # fmt: skip
"""Every role, as on a mixing desk: rhythm, bass, harmonies, voices, the rest."""

LEADS = frozenset({"lead", "speech"})
"""What the rest makes room for."""

NO_ROLE = "its name names no role"
"""Why a stem has the role that it has, where its name does not tell."""
