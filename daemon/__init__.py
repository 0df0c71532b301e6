"""The daemon: from the inbox to the outbox."""
