"""The command line: ``python -m runtime COMMAND``. stdout carries results, stderr carries progress and messages.

Exit codes: 0 done, 1 failed in a node, 2 bad workflow, input or arguments, 130 cancelled. What loads torch is imported when a
command needs it.



* ``commands``    the surface: every command and option, a file per family.
* ``session``     where a command finds things: folders, a host, the catalog of nodes bound to it.
* ``prepared``    a workflow file as a prompt that may run; ``running`` runs it, ``dry_run`` only says what would happen.
* ``film_tags``   the workflow that a film carries.
* ``checking``    ``check``, on many files; ``needs`` which pictures and weights a workflow names.
* ``caching``     ``--cache``: the store of results, told what decides them here.
* ``program``     what this program is called.
* ``display``     progress for a terminal, a log file or a program.
* ``conversion``  ``convert``: files and folders, and where they go.
* ``models``      the table of models, pull, verify, import.
* ``pictures``    ``upscale``: which files, and where they go.
* ``doctor``      ``doctor``: what keeps it from working here.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from ..errors import Cancelled, Upscale8KError
from .program_name import insert_program_name


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Every error ends here, as a sentence and the next step."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        with _treat_sigterm_as_ctrl_c():
            from .commands import run_command_line

            return run_command_line(arguments)
    except KeyboardInterrupt:
        return _report_failure(Cancelled("Stopped."), arguments)
    except Upscale8KError as error:
        return _report_failure(error, arguments)


@contextmanager
def _treat_sigterm_as_ctrl_c() -> Generator[None]:
    """``kill`` stops a run as cleanly as Ctrl-C does. Only the main thread may say so to Python."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous_handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous_handler)


def _report_failure(error: Upscale8KError, arguments: Sequence[str]) -> int:
    if "--traceback" in arguments:
        import traceback

        traceback.print_exception(error)
    print(insert_program_name(f"Error: {error}" if error.exit_code != Cancelled.exit_code else error), file=sys.stderr)
    return error.exit_code
