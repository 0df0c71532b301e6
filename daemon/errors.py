"""Errors sorted by whose fault they are, because that decides what happens next.

=================  =====================  ======================================
Raised             Whose fault            What follows
=================  =====================  ======================================
``BadInput``       the drop's             failed at once
``NothingToDo``    nobody's               skipped
``Unavailable``    the surroundings'      retry with backoff
``BadConfig``      the operator's         refuse to start, exit 78
anything else      ours                   retry once; traceback in ``error.json``
=================  =====================  ======================================

``CODES`` lists every stable code a user can meet; the page "when something failed" is made
from it, and a test fails when a code is raised that it does not list.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Code:
    """What a stable error code means, and what a person can do."""

    meaning: str
    remedy: str
    fault: str = "drop"
    """``drop``, ``surroundings``, ``operator`` or ``soundspool``."""


CODES: dict[str, Code] = {
    "INPUT_TRUNCATED": Code(
        "A file has fewer bytes than its header declares, and no more came.",
        "Copy it again from where it is whole; then move the drop back into the inbox.",
    ),
    "INPUT_EMPTY": Code(
        "A file or a folder has nothing in it.",
        "Copy it again; then move the drop back into the inbox.",
    ),
    "INPUT_NOT_AUDIO": Code(
        "The file is in no audio format that we know.",
        "Convert it to WAV, FLAC or AIFF.",
    ),
    "INPUT_UNREADABLE": Code(
        "A file may not be opened by the daemon.",
        "Let the daemon's user read it: chmod a+r, or its group.",
    ),
    "NO_AUDIO": Code(
        "The folder holds no audio file.",
        "Put the stems into it, as WAV, FLAC, AIFF, Ogg or MP3.",
    ),
    "REFUSED_SYMLINK": Code(
        "The drop is, or holds, a symbolic link; those are never followed.",
        "Copy the files themselves: cp -rL.",
    ),
    "REFUSED_KIND": Code(
        "The drop holds a pipe, a device, a socket, or a file with a second name.",
        "Copy the files themselves, not links to them.",
    ),
    "TOO_DEEP": Code(
        "Folders lie within folders beyond the limit.",
        "Flatten the folder, or raise limits.depth of the inbox.",
    ),
    "TOO_MANY_FILES": Code(
        "The folder holds more files than the limit.",
        "Split it, or raise limits.files of the inbox.",
    ),
    "TOO_LARGE": Code(
        "The drop has more bytes than the limit.",
        "Split it, or raise limits.bytes of the inbox.",
    ),
    "MANIFEST_MISSING_FILES": Code(
        "Files that job.yaml lists have not come.",
        "Copy the rest; then move the drop back into the inbox.",
    ),
    "MANIFEST_MISMATCH": Code(
        "A file is not what job.yaml lists: its size or its hash differs.",
        "Copy it again, or correct job.yaml.",
    ),
    "POSSIBLE_SPLIT_DROP": Code(
        "A warning: a folder of this name was taken minutes ago; this may be the rest of it.",
        "If it is, drop both parts again as one folder, with an empty .done written last.",
    ),
    "SETTINGS_INVALID": Code(
        "The settings file cannot be used; the message says where and why.",
        "Correct job.yaml; then move the drop back into the inbox.",
    ),
    "DISK_FULL": Code(
        "There is no room left on the disk; the job goes on when there is.",
        "Make room, or give the spool another disk.",
        "surroundings",
    ),
    "DISK_TROUBLE": Code(
        "The disk refuses to be read or written.",
        "Look into the system's log; check the disk, its mount and its permissions.",
        "surroundings",
    ),
    "SPOOL_IN_USE": Code(
        "Another process has the queue of this spool open.",
        "Let one daemon run per spool; do not open queue.sqlite3 while it runs.",
        "operator",
    ),
    "INTERRUPTED": Code(
        "The daemon or the machine stopped in mid-work, each time the job was tried.",
        "Move the drop back into the inbox. If it happens again, look at the drop itself.",
        "surroundings",
    ),
    "TIMED_OUT": Code(
        "The job was not finished by its deadline, and was stopped.",
        "Raise timeout_s of the inbox, or make the drop smaller.",
    ),
    "STALLED": Code(
        "The job gave no sign of life for stall_s, and was stopped.",
        "Try once more; if it happens again, something in the drop hangs its decoder.",
    ),
    "NO_PROGRESS": Code(
        "The job stood at the same point for no_progress_s, and was stopped.",
        "Raise no_progress_s of the inbox if its steps may take that long.",
    ),
    "CRASHED": Code(
        "The process that did the job died.",
        "Try the stems one by one: a damaged file can crash its decoder.",
    ),
    "BAD_MESSAGE": Code(
        "The process that did the job said something unintelligible, and was stopped.",
        "Try the stems one by one: a damaged file can disturb its decoder.",
    ),
    "OUT_OF_MEMORY": Code(
        "The job needed more memory than it may have, or than there is.",
        "Raise memory_mb of the pool, give the machine more memory, or use fewer slots.",
        "surroundings",
    ),
    "CANCELLED": Code(
        "The job was cancelled by hand.",
        "Nothing, unless it was a mistake: then drop it again.",
    ),
    "START_FAILED": Code(
        "No worker process came up to do the job.",
        "The reason stands in daemon.json under pool.degraded; often a library is missing.",
        "operator",
    ),
    "HANDLER_UNUSABLE": Code(
        "The handler of the inbox cannot be imported, or is no handler.",
        "Correct handler or handler_paths in config.yaml, or install what it imports.",
        "operator",
    ),
    "RESULT_INVALID": Code(
        "The handler returned something that is no result.",
        "Report it to whoever wrote the handler; the message says what is wrong.",
        "soundspool",
    ),
    "INTERNAL": Code(
        "The handler raised an error that it should have understood.",
        "Report it, with the traceback that stands in the error file.",
        "soundspool",
    ),
    # What the command line answers.
    "NOT_FOUND": Code(
        "Nothing in the spool goes by this name.",
        "See what there is: soundspool status.",
        "operator",
    ),
    "AMBIGUOUS": Code(
        "Several inboxes know this name.",
        "Choose one with --inbox.",
        "operator",
    ),
    "UNKNOWN_INBOX": Code(
        "The configuration names no such inbox.",
        "Correct the name, or add the inbox to config.yaml.",
        "operator",
    ),
    "INBOX_MISSING": Code(
        "The folder of the inbox is not there.",
        "Start the daemon, which makes it, or mount the disk that it lies on.",
        "surroundings",
    ),
    "NAME_TAKEN": Code(
        "The inbox holds a drop of this name.",
        "Wait until it was taken, or rename yours.",
        "surroundings",
    ),
    "REFUSED_NAME": Code(
        "No inbox takes a drop of this name: it is hidden, temporary or a marker by its name.",
        "Rename it.",
    ),
    "STILL_ARRIVING": Code(
        "A file in the folder is still being copied or downloaded, by its name.",
        "Submit the folder when it is complete, or remove that file.",
    ),
    "LEFT_ALONE": Code(
        "The inbox takes no files of this kind.",
        "Take it out of the inbox again.",
    ),
    "OUTPUT_EXISTS": Code(
        "The folder to be made is there already.",
        "Name another one.",
        "operator",
    ),
    "DAEMON_DOWN": Code(
        "The daemon does not run, so nothing would come of waiting.",
        "Start it: soundspool run.",
        "operator",
    ),
    "DAEMON_DID_NOT_START": Code(
        "The demo's daemon ended before it served.",
        "See what is wrong: soundspool check.",
        "surroundings",
    ),
}


@dataclass
class SpoolError(Exception):
    """Something with a stable code, a message for people and a hint."""

    code: str
    message: str
    hint: str = ""
    path: str = ""
    details: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class BadInput(SpoolError):
    """The drop cannot be used; trying again would change nothing."""


class NothingToDo(SpoolError):
    """The drop is fine and asks for nothing: an outcome of its own, not a failure."""


class Unavailable(SpoolError):
    """The surroundings failed (disk full, mount gone, remote busy); later may be better."""


@dataclass
class BadConfig(Exception):
    """The configuration cannot be used.

    ``where`` is ``file:line:col`` when it is known.
    """

    key: str
    problem: str
    where: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.key}: {self.problem}"
