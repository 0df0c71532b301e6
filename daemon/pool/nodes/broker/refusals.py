"""Why a broker refuses, and what to do about it, in words for people."""

import logging
import re

_QUEUE = re.compile(r"queue '([^']+)' in vhost '([^']+)'")
_OWN_HOST = "Give the spool a virtual host of its own"
_ADVICE = (
    (
        "precondition_failed",
        "another program has made the queue {queue} with other settings",
        f"{_OWN_HOST}, or remove the queue: rabbitmqctl -p {{vhost}} delete_queue '{{queue}}'",
    ),
    (
        "locked queue 'soundspool.up'",
        "another daemon is at the virtual host {vhost}",
        f"{_OWN_HOST}. A daemon that was killed is forgotten within 20 s.",
    ),
    (
        "resource_locked",
        "another node has this name",
        "Give each --name. A node that was killed is forgotten within 20 s.",
    ),
    (
        "access_refused",
        "the broker does not let this user in, or do this",
        "See user, password, and rabbitmqctl list_user_permissions: it needs .* three times.",
    ),
    (
        "not_allowed",
        "there is no such virtual host, or the user may not use it",
        "See the URL's last part: rabbitmqctl add_vhost, rabbitmqctl set_permissions.",
    ),
    (
        "certificate_verify_failed",
        "the broker's certificate is not trusted",
        "Name the certificate of its authority in ca_file, and the broker as its certificate does.",
    ),
)


def explained(error: BaseException) -> tuple[str, str]:
    """Return what is wrong, with what the broker said, and a hint; no hint: that is not known."""
    said = " ".join(f"{type(error).__name__}: {error}".split())
    found = _QUEUE.search(said)
    names = {"queue": found[1], "vhost": found[2]} if found else {"queue": "?", "vhost": "?"}
    for mark, what, hint in _ADVICE:
        if mark in said.lower():
            return f"{what.format(**names)} ({said})", hint.format(**names)
    return said, ""


class Refusal(logging.Filter):
    """Keeps what a Celery worker ends of, instead of the traceback that it would log."""

    error: BaseException | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Take a record that tells of the end of the worker by the broker's word."""
        error = record.exc_info[1] if record.exc_info else None
        ours = type(error).__module__.partition(".")[0] == "amqp"  # which has no types
        if record.levelno < logging.CRITICAL or error is None or not ours:
            return True
        self.error = error
        return False
