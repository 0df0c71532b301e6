"""The one loop: joins watchers, queue, pool and outbox in one thread."""
