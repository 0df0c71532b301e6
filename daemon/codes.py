"""Every stable code that a person can meet: what it means, and what to do.

Statuses, ``.error.json`` files, logs and the command line carry the codes. ``docs/errors.md``
is made from this table: ``python -m daemon.codes > docs/errors.md``. Tests fail when a code is
raised that is not listed here, and when the page is not current.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

FAULTS = {
    "drop": "The drop",
    "surroundings": "The surroundings",
    "operator": "The operator",
    "soundspool": "Soundspool, or a handler",
    "nobody": "Warnings: the job went on",
}
"""Whose fault it is, and the heading on the page."""


@dataclass(frozen=True)
class Code:
    """What a stable error code means, and what a person can do."""

    meaning: str
    hint: str
    fault: str
    """A key of ``FAULTS``."""


# A section for each fault; then each code, what it means, what to do.
_TABLE = """
[drop]
INPUT_TRUNCATED
    A file has fewer bytes than its header declares, and no more came.
    Copy it again from where it is whole; then move the drop back into the inbox.
INPUT_EMPTY
    A file or a folder has nothing in it.
    Copy it again; then move the drop back into the inbox.
INPUT_PLACEHOLDER
    An audio file of the folder has no bytes: a cloud drive or a sync tool has not fetched it.
    Make the folder available offline, or copy the file from where it is whole; then drop it again.
INPUT_NOT_AUDIO
    The file is in no audio format that we know.
    Convert it to WAV, FLAC or AIFF.
INPUT_NOT_SUPPORTED
    The file is audio of a kind that is not let near the decoder.
    Convert it to FLAC, WAV or AIFF: ffmpeg -i IN OUT.flac.
INPUT_DAMAGED
    A file is broken in its middle, or holds far more than its header accounts for.
    Copy or export it again from where it is whole.
INPUT_SILENT
    Every stem is silent from beginning to end.
    Check the export of your session: tracks may have been muted.
INPUT_TOO_LONG
    A file has more frames than the limit, declared or decoded.
    Cut it into shorter files, or raise limits.frames of the inbox.
INPUT_RATE
    The sample rate of a file lies outside the limits.
    Export it at 44100 or 48000 Hz, or change limits.rate_hz_min and rate_hz_max.
INPUT_CHANNELS
    A file has more channels than the limit.
    Export it as mono or stereo, or raise limits.channels of the inbox.
INPUT_UNREADABLE
    A file may not be opened by the daemon.
    Let the daemon's user read it: chmod a+r, or its group.
NO_AUDIO
    The folder holds no audio file.
    Put the stems into it, as WAV, FLAC, AIFF, Ogg or MP3.
NO_INPUT
    The folder holds no file of a kind that its inbox takes.
    Put such a file into it, or use another inbox; soundspool explain says what this one takes.
ARCHIVE_DAMAGED
    The archive is broken, cut short, or no archive of the kind that its name says.
    Pack or copy it again; then drop it again.
ARCHIVE_ENCRYPTED
    Something in the archive is encrypted.
    Pack it again without a password, or drop the folder itself.
ARCHIVE_NOT_SUPPORTED
    Something in the archive is packed by a method that we do not know.
    Pack it again as plain ZIP or tar.gz, or drop the folder itself.
ARCHIVE_TOO_LARGE
    More bytes would come out of the archive than the limit, or than any sound makes.
    Drop the folder itself, or raise limits.bytes of the inbox.
ARCHIVE_UNSAFE
    The archive holds links, devices, names twice, or names that lead out of it or are no text.
    Pack plain files and folders only, or drop the folder itself.
REFUSED_SYMLINK
    The drop is, or holds, a symbolic link; those are never followed.
    Copy the files themselves: cp -rL.
REFUSED_KIND
    The drop holds a pipe, a device, a socket, or a file with a second name.
    Copy the files themselves, not links to them.
TOO_DEEP
    Folders lie within folders beyond the limit.
    Flatten the folder, or raise limits.depth of the inbox.
TOO_MANY_FILES
    The folder holds more files than the limit.
    Split it, or raise limits.files of the inbox.
TOO_LARGE
    The drop has more bytes than the limit.
    Split it, or raise limits.bytes of the inbox.
MANIFEST_MISSING_FILES
    Files that job.yaml lists have not come.
    Copy the rest; then move the drop back into the inbox.
MANIFEST_MISMATCH
    A file is not what job.yaml lists: its size or its hash differs.
    Copy it again, or correct job.yaml.
SETTINGS_INVALID
    The settings file cannot be used; the message says where and why.
    Correct job.yaml; then move the drop back into the inbox.
TIMED_OUT
    The job was not finished by its deadline, and was stopped.
    Raise timeout_s of the inbox, or make the drop smaller.
STALLED
    The job gave no sign of life for stall_s, and was stopped.
    Try once more; if it happens again, something in the drop hangs its decoder.
NO_PROGRESS
    The job stood at the same point for no_progress_s, and was stopped.
    Raise no_progress_s of the inbox if its steps may take that long.
CRASHED
    The process that did the job died.
    Try the stems one by one: a damaged file can crash its decoder.
BAD_MESSAGE
    The process that did the job said something unintelligible, and was stopped.
    Try the stems one by one: a damaged file can disturb its decoder.
CANCELLED
    The job was cancelled by hand.
    Nothing, unless it was a mistake: then drop it again.
REFUSED_NAME
    No inbox takes a drop of this name: it is hidden, temporary or a marker by its name.
    Rename it.
STILL_ARRIVING
    A file in the folder is still being copied or downloaded, by its name.
    Submit the folder when it is complete, or remove that file.
LEFT_ALONE
    The inbox takes no files of this kind.
    Take it out of the inbox again.
[surroundings]
DISK_FULL
    There is no room left on the disk; the job goes on when there is.
    Make room, or give the spool another disk.
DISK_TROUBLE
    The disk refuses to be read or written.
    Look into the system's log; check the disk, its mount and its permissions.
INTERRUPTED
    The daemon or the machine stopped in mid-work; the job is tried again, at no cost.
    Nothing has to be done.
OUT_OF_MEMORY
    The job needed more memory than it may have, or than there is.
    Raise memory_mb of the pool, give the machine more memory, or use fewer slots.
QUEUE_REBUILT
    The queue's file was damaged; it was moved aside and made anew from the folders.
    Check the disk. Counts and history begin anew; no drop is lost.
QUEUE_WRITE
    The end of an attempt cannot be written down now; nothing new is begun until it can.
    Make room on the disk, or mend it; it goes on by itself.
SURROUNDINGS
    The disk refused a step; it is tried again every few seconds.
    Make room on the disk, or mend it; it goes on by itself.
SYSTEM
    The operating system refused what a command asked of it.
    Read the message; when permission is denied, try as the daemon's user.
INBOX_MISSING
    The folder of the inbox is not there.
    Start the daemon, which makes it, or mount the disk that it lies on.
NAME_TAKEN
    The inbox holds a drop of this name.
    Wait until it was taken, or rename yours.
DAEMON_DID_NOT_START
    The demo's daemon ended before it served.
    See what is wrong: soundspool check.
DROP_GONE
    The drop is no longer in work/, where the daemon had put it.
    If you still have it, drop it again; leave work/ to the daemon.
[operator]
SPOOL_IN_USE
    Another process has the queue of this spool open.
    Let one daemon run per spool; do not open queue.sqlite3 while it runs.
START_FAILED
    No worker process came up to do the job.
    The reason stands in daemon.json under pool.degraded; often a library is missing.
HANDLER_UNUSABLE
    The handler of the inbox cannot be imported, or is no handler.
    Correct handler or handler_paths in config.yaml, or install what it imports.
LOCK_LOST
    The lock in state/ was removed or replaced while the daemon ran.
    Another daemon may serve the spool now: stop it, then start this one again.
ALREADY_RUNNING
    Another daemon serves this spool.
    Stop it first, or give this one another root.
CONFIG_REFUSED
    The changed configuration cannot be used; the daemon goes on with the old one.
    Correct it, as the message says, and reload again.
SLOTS_CLAMPED
    More slots were asked for than four per processor core; fewer are served.
    Set pool.slots lower, or to 0 for one per core.
POOL_DEGRADED
    No worker process starts, so nothing can run.
    The reason stands beside it; often a library is missing. See soundspool doctor.
CONFIG
    The configuration cannot be used; the message says where and why.
    Correct it: soundspool config check.
NOT_FOUND
    Nothing in the spool goes by this name.
    See what there is: soundspool status.
AMBIGUOUS
    Several inboxes know this name.
    Choose one with --inbox.
UNKNOWN_INBOX
    The configuration names no such inbox.
    Correct the name, or add the inbox to config.yaml.
OUTPUT_EXISTS
    The folder to be made is there already.
    Name another one.
DAEMON_DOWN
    The daemon does not run, so nothing would come of waiting.
    Start it: soundspool run.
[soundspool]
RESULT_INVALID
    The handler returned something that is no result.
    Report it to whoever wrote the handler; the message says what is wrong.
INTERNAL
    Soundspool or the handler raised an error that it should have understood.
    Report it, with the traceback that stands in the error file.
DAEMON_DIED
    The daemon's own process died while it was handling this job, and not only once.
    Report it with the system's log; move the drop back into the inbox to try again.
SPLIT_REFUSED
    A handler split its job too often, or into too many parts.
    Mend the handler; a job has 8 rounds and 20,000 parts at the most.
PART_READS
    A part asked to read what lies neither in the drop nor in what its plan left.
    Mend the handler.
NO_OUTPUT
    The handler ended well and made nothing.
    Report it to whoever wrote the handler; one that finds nothing to do raises NothingToDo.
UNKNOWN
    No reason was recorded.
    Look into the log at the time when the job ended; then move the drop back into the inbox.
[nobody]
CONFLICT_COPY
    A file is by its name a copy that a sync tool or a file manager made; the original was used.
    Nothing; if both are wanted, rename the copy, or name it under stems in job.yaml.
STEM_REPEATED
    Two files hold the same bytes; they were heard once.
    Nothing; if it is wanted twice, name both under stems in job.yaml.
INPUT_SIZE_WRAPPED
    A file outgrew the 4 GiB that the size in its header can tell; all of its sound was used.
    Nothing. Record to RF64 or W64 for long takes: other programs may stop where the header says.
POSSIBLE_SPLIT_DROP
    A folder of this name was taken minutes ago; this may be the rest of it.
    If it is, drop both parts again as one folder, with an empty .done written last.
NESTED_POOL
    The handler asked for a pool of processes; its work was done in sequence.
    Nothing. Its author may use threads instead.
NOT_CONFINED
    This machine lacks what workers are confined with.
    A newer kernel has Landlock; the service unit forbids much even so.
STEM_SILENT
    A stem is silent from beginning to end.
    Check its export, if it should be heard.
STEM_CLIPPED
    A stem stands at full scale for several frames on end; it was used as it is.
    Export it again with a lower level, if it can be heard.
STEM_NOT_FINITE
    A stem holds samples that are not numbers; they were replaced by silence.
    Find the plug-in that made them, and export it again.
SONG_FAILED
    A song of a folder could not be analysed; the others were. The message holds its own code.
    See that code; drop the song again once it is mended.
SAMPLES_WILD
    A stem has single samples far above their neighbours; they were replaced by straight lines.
    Find the plug-in or the disk that made them; listen at the time that the message names.
STEM_ONLY_NOISE
    A stem holds nothing but idle noise; it was left as it is.
    Take it out of the song, or record it again.
STEM_ONE_SIDED
    One channel of a stem that belongs in the centre is silent; the other was put there.
    Nothing, or check its export: it may lack half of its sound.
STEM_SET_ASIDE
    A click, a reference or a finished mix lay among the stems, by its name; it was not mixed.
    Nothing, or name it under stems in job.yaml if it belongs to the song.
STEM_MOVED
    A stem was moved in time to fit the others.
    Nothing, or align: off in job.yaml if it was right before.
CHANNELS_UNKNOWN
    A stem has more than two channels, and nothing says which speaker each is for.
    Export it in stereo, or as WAV with a channel mask.
STAMPS_IGNORED
    The stems' time stamps contradict one another, or some stems have none; none was used.
    Export the stems again, all with time stamps or all from the same bar.
TARGET_NOT_REACHED
    The master is not as loud as was asked; the message says what stood against it.
    Lower the target, or allow what the message names.
MONO_LOSS
    The mix loses much of its level when it is played in mono.
    Check the polarity and the width of its stereo stems.
"""


def _read(table: str) -> Iterator[tuple[str, Code]]:
    for section in table.strip().split("[")[1:]:
        fault, _, body = section.partition("]\n")
        code, meaning, hint = (body.splitlines()[part::3] for part in range(3))
        for name, means, do in zip(code, meaning, hint, strict=True):
            yield name, Code(means.strip(), do.strip(), fault)


CODES = dict(_read(_TABLE))

_OF_A_HANDLER = "The message says what is wrong; when it is mended, drop it again."


def hint_of(code: str) -> str:
    """Return what a person can do about a code; handlers may have codes of their own."""
    return CODES[code].hint if code in CODES else _OF_A_HANDLER


_HEAD = """\
# When something failed

The drop lies in `failed/<inbox>/`, untouched, with the reason beside it in `NAME.error.json`.
Its code is one of these. Mend what it names, then move the drop back into the inbox:
`soundspool retry NAME`, or drag it there.

This page is made from `daemon/codes.py`: `python -m daemon.codes > docs/errors.md`.
"""


def page() -> Iterator[str]:
    """Yield the lines of ``docs/errors.md``."""
    yield from _HEAD.splitlines()
    for fault, heading in FAULTS.items():
        yield from ("", f"## {heading}", "", "| Code | Meaning | What to do |", "|---|---|---|")
        for code, about in sorted(CODES.items()):
            if about.fault == fault:
                yield f"| `{code}` | {about.meaning} | {about.hint} |"


if __name__ == "__main__":
    sys.stdout.write("\n".join(page()) + "\n")
