"""The schema of ``config.yaml``: every key, default and bound.

``config.yaml`` at the root of the project is the manual of these models: the same keys in
the same order, each with its unit, its default and a sentence (a test proves it complete).
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from daemon.config import file as config_file
from daemon.config.lanes import Lane
from daemon.config.relations import Contradiction, broken_forwards, refuse, unmet_needs
from daemon.config.validation import validate
from daemon.config.yaml_reader import Document
from daemon.errors import BadConfig, BadInput
from dsp.containers.header import LOWEST_RATE_HZ, MOST_FRAMES

# Every number has an upper bound: a larger value is a typing error, and would overflow somewhere.
Seconds = Annotated[float, Field(ge=0, le=30 * 86_400)]
Timeout = Annotated[float, Field(ge=0.01, le=30 * 86_400)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Days = Annotated[int, Field(ge=1, le=36_500)]
Mebibytes = Annotated[int, Field(ge=0, le=1 << 30)]
SomeMebibytes = Annotated[int, Field(ge=1, le=1 << 30)]
# Dotted, as Python imports it.
ModuleName = Annotated[str, Field(max_length=200, pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*$")]
# A folder's name, and one that can be written in a variable of the environment.
InboxName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class _Section(BaseModel):
    # Built when first needed: a node, say, imports these for a few constants.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


class Settling(_Section):
    """When a drop is complete. Network file systems double the quiet times."""

    settle_s: Seconds = 2.0
    settle_folder_s: Seconds = 5.0
    settle_single_s: Seconds = 90.0
    join_late_s: Seconds = 300.0
    settle_network_s: Seconds = 10.0
    settle_folder_network_s: Seconds = 20.0
    settle_unknown_s: Seconds = 30.0
    truncated_after_s: Seconds = 900.0
    manifest_after_s: Seconds = 3600.0
    on_truncated: Literal["fail", "accept"] = "fail"


class Limits(_Section):
    """What one drop may ask of the machine."""

    files: Annotated[int, Field(ge=1, le=1_000_000)] = 256
    depth: Annotated[int, Field(ge=1, le=100)] = 4
    bytes: Annotated[int, Field(ge=1, le=1 << 62)] = 64 * 1024**3
    settings_bytes: Annotated[int, Field(ge=1, le=1 << 20)] = 64 * 1024
    rate_hz_min: Count = LOWEST_RATE_HZ
    rate_hz_max: Count = 192_000
    channels: Annotated[int, Field(ge=1, le=64)] = 8
    frames: Annotated[int, Field(ge=1, le=1 << 48)] = MOST_FRAMES


Endpoint = Annotated[
    str, Field(max_length=300, pattern=r"^(\[[0-9a-f:.]+\]|[a-z0-9._-]+):\d{1,5}$")
]
"""``host:port``, in small letters."""
ProgramName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,100}$")]


ResourceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
"""One that can be written in a variable of the environment."""
# A number, or what nvidia-smi calls a device.
MemberName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
_Member = Annotated[int, Field(ge=0, le=10_000)] | MemberName
_Some = Annotated[int, Field(ge=1, le=1_000)]

_One = TypeVar("_One")


def each_once(members: list[_One]) -> list[_One]:
    """Return a list in which nothing is named twice."""
    if len({*map(str, members)}) < len(members):
        raise ValueError("must name each once")
    return members


Resource = _Some | Annotated[list[_Member], Field(max_length=1_000), AfterValidator(each_once)]
"""So many, or these here, beside those of nodes."""


class Allow(_Section):
    """What an inbox grants its handler besides the drop and its own folders."""

    network: Annotated[list[Endpoint], Field(max_length=16)] = Field(default_factory=list)
    programs: Annotated[list[ProgramName], Field(max_length=16)] = Field(default_factory=list)
    """Found in the daemon's ``PATH`` when it starts."""


RootName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class Forward(_Section):
    """Where the results of an inbox go on."""

    inbox: InboxName
    roles: Annotated[list[str], Field(max_length=16)] = Field(default_factory=list)
    """Of the outputs that go; without any, those with the role of the first."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """The ``job.yaml`` of the drop that they become."""


def _forward(value: object) -> object:
    return {"inbox": value} if isinstance(value, str) else value


class Inbox(_Section):
    """One inbox: its handler, the handler's settings, its deadlines."""

    handler: ModuleName = "daemon.handlers.mix"
    lane: Lane = "normal"
    needs: Annotated[dict[ResourceName, _Some], Field(max_length=16)] = Field(default_factory=dict)
    """Of named resources, while a job or a part of one runs."""
    options: dict[str, Any] = Field(default_factory=dict)
    path: Path | None = None
    """Where it lies, when not in ``<root>/inbox/<name>``."""
    timeout_s: Timeout = 900.0
    timeout_per_audio_s: Annotated[float, Field(ge=0, le=1000)] = 2.0
    """Seconds of deadline per second of audio: the deadline is the larger of the two."""
    stall_s: Timeout = 30.0
    no_progress_s: Timeout = 300.0
    archive: Literal["keep", "delete"] = "keep"
    archive_days: Days = 30
    """With ``archive: delete``, days after which an archived drop goes."""
    forward: Annotated[Forward | None, BeforeValidator(_forward)] = None
    """Its results become drops of another inbox."""
    settling: Settling = Settling()
    limits: Limits = Limits()
    allow: Allow = Allow()
    reads: Annotated[dict[RootName, Path], Field(max_length=16)] = Field(default_factory=dict)
    """Folders elsewhere that its workers may read, and never write."""
    every_s: Seconds = 0.0
    """Seconds between drops of a ``.scan`` by the daemon itself; 0: none."""
    keeps: bool = False
    """A private folder that its jobs may write; one of them is at work at a time."""

    @property
    def results_differ(self) -> bool:
        """Whether the same drop may come to another result: it depends on more than the drop."""
        return self.keeps or bool(self.reads)


NODE_NAME = r"^[a-z0-9][a-z0-9.-]{0,62}$"
NodeName = Annotated[str, Field(pattern=NODE_NAME)]
Lost = Annotated[float, Field(ge=1.0, le=600.0)]
"""Seconds without a word after which a node counts as lost."""


class Node(_Section):
    """Another machine that runs jobs, and the command that keeps a node running there."""

    launch: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=4_000)]],
        Field(min_length=1, max_length=100),
    ]
    root: Path | None = None
    """Where that machine sees the spool; ``None``: at the same path."""
    slots: Annotated[int, Field(ge=0, le=256)] = 0
    """0: one per core of that machine."""
    lost_s: Lost = 6.0


BROKER = r"^amqps?://([^/\s:@]+@)?[^/\s@]+/[^/\s?#]+$"


class Celery(_Section):
    """A RabbitMQ at which nodes report by themselves, and that carries their orders."""

    broker: Annotated[str, Field(max_length=1_000, pattern=BROKER)]
    """``amqps://user@host:port/vhost``; a virtual host serves one spool."""
    password_file: Path | None = None
    """Holds the password, which is nothing for a URL that is shown."""
    ca_file: Path | None = None
    """Whose certificates are trusted, with amqps; ``None``: those of this machine."""
    lost_s: Lost = 6.0


class Pool(_Section):
    """The workers."""

    slots: Annotated[int, Field(ge=0, le=256)] = 0
    """0: one per core."""
    spare: bool = True
    start_s: Timeout = 30.0
    memory_mb: SomeMebibytes = 4096
    recycle_jobs: Count = 50
    recycle_mb: SomeMebibytes = 1024
    start_failures: Count = 3
    confine: bool = True
    """Workers serve one job each and can touch nothing but that job's folders."""
    nodes: Annotated[dict[NodeName, Node], Field(max_length=200)] = Field(default_factory=dict)
    """Other machines that run jobs."""
    celery: Celery | None = None
    """Others, which come and go by themselves."""


class Budgets(_Section):
    """How often an attempt may end badly before the job is set aside."""

    failures: Count = 3
    crashes: Count = 2
    interruptions: Count = 5
    backoff_s: Timeout = 30.0
    backoff_max_s: Timeout = 1800.0


class Retention(_Section):
    """How long history is kept."""

    history_days: Days = 90
    history_jobs: Count = 10_000
    status_days: Days = 90


class Disk(_Section):
    """Room that must stay free, and room reserved per drop."""

    reserve_mb: Mebibytes = 512
    per_input_byte: Annotated[float, Field(ge=0, le=1000)] = 3.0


class Config(_Section):
    """The whole configuration. With none at all, ``./spool`` and one ``mix`` inbox."""

    root: Path = Path(config_file.DEFAULT_ROOT)
    share: Annotated[str, Field(max_length=500)] = ""
    """Where people reach the root: ``smb://nas/audio``."""
    inboxes: Annotated[dict[InboxName, Inbox], Field(max_length=1000)] = Field(
        default_factory=lambda: {"mix": Inbox()}
    )
    resources: Annotated[dict[ResourceName, Resource], Field(max_length=64)] = Field(
        default_factory=dict
    )
    """What there is only so much of, for all inboxes together."""
    handler_paths: Annotated[list[Path], Field(max_length=1000)] = Field(default_factory=list)
    """Folders in which handlers of your own are looked for, after the installed libraries."""
    pool: Pool = Pool()
    budgets: Budgets = Budgets()
    retention: Retention = Retention()
    disk: Disk = Disk()
    drain_s: Seconds = 60.0
    heartbeat_s: Annotated[float, Field(ge=0.01, le=60)] = 2.0
    queue_limit: Count = 10_000
    """Jobs that may wait; beyond it, drops stay in their inbox."""
    memory_reserve_mb: Mebibytes = 256
    """Memory that must be available before another drop is taken."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield what is wrong between keys that are right by themselves."""
        needs = {name: inbox.needs for name, inbox in self.inboxes.items()}
        nodes = bool(self.pool.nodes or self.pool.celery)
        yield from unmet_needs(needs, self.resources, nodes=nodes)
        forwards = {name: one.forward.inbox for name, one in self.inboxes.items() if one.forward}
        yield from broken_forwards(forwards, self.inboxes)


def load(named: Path | None = None, environment: Mapping[str, str] = os.environ) -> Config:
    """Return the configuration in use, with every path absolute.

    Parameters
    ----------
    named : Path, optional
        What ``--config`` names; without it, see ``config_file`` for where is looked.
    environment : mapping
        Variables, of which ``SOUNDSPOOL_…`` count.

    Raises
    ------
    BadConfig
        With ``file:line:col``, the key, and what is wrong with it; further problems follow,
        one a line.
    """
    file = config_file.find(named, environment)
    document = config_file.read(file, environment)
    try:
        config = validate(Config, document)
        refuse(config.contradictions(), document)
    except BadInput as error:
        raise config_file.as_bad_config(error) from None
    config = _with_absolute_paths(config, file)
    _keep_apart(config, document)
    return config


def _with_absolute_paths(config: Config, file: config_file.ConfigFile) -> Config:
    def absolute(inbox: Inbox) -> Inbox:
        reads = {name: config_file.absolute(file, path) for name, path in inbox.reads.items()}
        path = config_file.absolute(file, inbox.path) if inbox.path else None
        return inbox.model_copy(update={"path": path, "reads": reads})

    inboxes = {name: absolute(inbox) for name, inbox in config.inboxes.items()}
    celery = config.pool.celery
    if celery:
        given = {"password_file": celery.password_file, "ca_file": celery.ca_file}
        there = {key: config_file.absolute(file, path) for key, path in given.items() if path}
        celery = celery.model_copy(update=there)
    paths = {
        "pool": config.pool.model_copy(update={"celery": celery}),
        "root": config_file.absolute(file, config.root),
        "handler_paths": [config_file.absolute(file, path) for path in config.handler_paths],
        "inboxes": inboxes,
    }
    return config.model_copy(update=paths)


def _keep_apart(config: Config, document: Document) -> None:
    """Refuse a root that lies in the spool or an inbox, or holds one.

    By their names alone: a root may lie where nothing answers. A worker looks closer.
    """
    inboxes = {f"the inbox {name}": one.path for name, one in config.inboxes.items() if one.path}
    ours = {"the spool": config.root, **inboxes}
    for inbox, settings in config.inboxes.items():
        for root, path in settings.reads.items():
            for what, own in ours.items():
                inner, outer = os.path.normpath(path), os.path.normpath(own)
                if os.path.commonpath((inner, outer)) in (inner, outer):
                    at = ("inboxes", inbox, "reads", root)
                    problem = f"{path} must not lie in {what} {own}, or hold it"
                    raise BadConfig(".".join(at), problem, document.place_of(at))
