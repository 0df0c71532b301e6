"""The shape of what is written, for readers in any language."""
