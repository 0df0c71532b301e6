"""Spoken pieces to an episode: joined with pauses, levelled, limited, encoded with chapters."""
