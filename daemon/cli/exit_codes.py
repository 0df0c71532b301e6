"""Turn errors into messages and exit codes; the same for all commands.

Exit codes: 0 done · 1 the job failed · 3 the daemon does not run · 64 usage · 65 bad input ·
70 our bug · 75 try later · 78 configuration.
"""

import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from daemon.errors import BadConfig, BadInput, SpoolError
from daemon.text import shown

EX_DOWN, EX_USAGE, EX_DATAERR, EX_TEMPFAIL, EX_CONFIG, EX_INTERRUPTED = 3, 64, 65, 75, 78, 130

DAEMON_DOWN = "DAEMON_DOWN"


@contextmanager
def answering(*, as_json: bool = False) -> Iterator[None]:
    """Turn an error into its message and its exit code."""
    try:
        yield
    except BadConfig as error:
        _fail("CONFIG", str(error), "", EX_CONFIG, as_json=as_json)
    except SpoolError as error:
        code = EX_DATAERR if isinstance(error, BadInput) else EX_TEMPFAIL
        code = EX_DOWN if error.code == DAEMON_DOWN else code
        _fail(error.code, error.message, error.hint, code, as_json=as_json)
    except BrokenPipeError:
        # The reader of the pipe has gone; what is still buffered is discarded.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        denied = error.errno in (errno.EACCES, errno.EPERM)
        hint = "Some folders are the daemon's own: try as its user." if denied else ""
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        _fail("SYSTEM", message, hint, EX_TEMPFAIL, as_json=as_json)
    except KeyboardInterrupt:
        sys.exit(EX_INTERRUPTED)


def _fail(code: str, message: str, hint: str, exit_code: int, *, as_json: bool) -> NoReturn:
    if as_json:
        error = {"code": code, "message": message, "hint": hint}
        sys.stdout.write(json.dumps({"error": error}) + "\n")
    else:
        lines = [*message.split("\n"), *([hint] if hint else [])]
        sys.stderr.write("\n".join(shown(line) for line in lines) + "\n")
    sys.exit(exit_code)
