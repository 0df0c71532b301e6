"""The two things that can be wrong: the sound, or the way it was asked for.

``AudioFormatError`` is the file's fault and carries a stable code that a caller may show
and a tool may match; ``ParameterError`` is the caller's. Anything else that leaves ``dsp``
is our bug.
"""


class AudioFormatError(Exception):
    """A file that cannot be used: whose it is, what was found, what to do.

    Parameters
    ----------
    code : str
        Stable, upper case: ``INPUT_TRUNCATED``.
    message : str
        What was found and what was expected, naming the file.
    hint : str
        What a person can do about it.
    path : str
        The file's name as the drop has it; empty when the whole drop is meant.
    """

    def __init__(self, code: str, message: str, *, hint: str = "", path: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.path = path

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class ParameterError(ValueError):
    """An argument out of range: the name, the value and the range."""
