"""A song to what a musician says of it: tempo, beats, bars, key, tuning."""
