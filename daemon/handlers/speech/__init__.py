"""Speech servers and engines: what ``transcribe`` and ``podcast`` share."""
