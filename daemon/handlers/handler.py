"""The contract under the name it had in 0.1, for handlers that were written then."""

from daemon.handlers.contract import Note, Output, Result, Task

__all__ = ["Note", "Output", "Result", "Task"]
