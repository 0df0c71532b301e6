"""``soundspool run``: one supervisor, and what its end means to whoever started it."""

from collections.abc import Callable
from pathlib import Path

from daemon import logs
from daemon.clock import Clock, rfc3339
from daemon.codes import hint_of
from daemon.errors import BadConfig, Unavailable
from daemon.imports import importing_pydantic
from daemon.logs import log

with importing_pydantic():
    from daemon.config.models import Config, load
from daemon.jobs.database import QueueDamaged, move_aside
from daemon.supervisor import systemd
from daemon.supervisor.folders import FoundationLost
from daemon.supervisor.grants import refuse_ungranted
from daemon.supervisor.heap import share_one_heap
from daemon.supervisor.startup import QUEUE
from daemon.supervisor.supervisor import Supervisor

EX_TEMPFAIL, EX_CONFIG = 75, 78


def run(config_path: Path | None = None) -> int:
    """Run the daemon until it is told to stop; return the exit code."""
    share_one_heap()
    logs.configure()
    try:
        config = load(config_path)
        logs.configure(config.log_level)
        systemd.keep_capabilities()
        refuse_ungranted(config)
        return _serve(config, lambda: _reloaded(config_path))
    except BadConfig as problem:
        log.error("the configuration cannot be used", problem=str(problem))
        return EX_CONFIG
    except Unavailable as problem:
        log.error(problem.message, code=problem.code, hint=problem.hint or hint_of(problem.code))
        return EX_TEMPFAIL
    except OSError as problem:
        hint = "Check the disk that holds the spool, and who may read and write it."
        log.error("the spool cannot be opened", problem=str(problem), hint=hint)
        return EX_TEMPFAIL


def _reloaded(path: Path | None) -> Config:
    config = load(path)
    refuse_ungranted(config)
    return config


def _serve(config: Config, reload: Callable[[], Config]) -> int:
    """Serve; a queue that turns out to be damaged is moved aside and built anew, once.

    Raises
    ------
    Unavailable
        It is damaged again, or the lock is lost: the disk below ``state/`` is not to be trusted.
    """
    moved_aside = None
    while True:
        supervisor = None
        try:
            supervisor = Supervisor(config, reload=reload, moved_aside=moved_aside)
            return supervisor.run()
        except QueueDamaged as damage:
            if moved_aside is not None:
                hint = "Check the disk that holds state/, and the system's log."
                raise Unavailable("DISK_TROUBLE", f"the queue: {damage}", hint) from damage
            log.error("the queue is damaged", damage=str(damage))
            if supervisor is not None:
                supervisor.abandon()
            stamp = rfc3339(Clock().wall_ms()).replace(":", "")
            moved_aside = move_aside(config.root.absolute() / QUEUE, stamp)
        except FoundationLost as lost:
            if supervisor is not None:
                supervisor.abandon()
            raise lost.reason from lost
