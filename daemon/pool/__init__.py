"""A fixed set of slots, each with one private child process."""
