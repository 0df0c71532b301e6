"""Articles as people write them, turned into pieces of speech. Pure: bytes in, values out."""
