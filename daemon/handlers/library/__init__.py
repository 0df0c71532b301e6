"""The ``library`` handler: a folder that stays where it is, and what is known of it."""
