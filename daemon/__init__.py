"""The daemon: from the inbox to the outbox."""

__version__ = "0.1.0"
