"""The command line: ``python -m runtime COMMAND``. Results go to stdout, progress and messages to stderr.

Exit codes: 0 success, 1 a node or a download failed, 2 invalid workflow, input or arguments, 130 cancelled. Modules that
load torch are imported when a command needs them.

* ``commands``           every command and option, one file per family
* ``run_options``        folders, devices, the host and its node catalog
* ``load_workflow``      a workflow file as a checked prompt; ``run_workflow`` runs it, ``dry_run`` describes a run
* ``check_workflows``    ``check`` for many files; ``required_files`` the images and weights that a workflow names
* ``cache_option``       ``--cache``: the result cache and its version
* ``convert_workflows``  ``convert`` for files and folders
* ``manage_models``      the table of models, and ``models pull``
* ``batch``              ``upscale``: any number of inputs, their results, and the run over all of them
* ``display``            progress for a terminal, a log file or a program
* ``man_page``           the manual, from the parser
* ``doctor``             ``doctor``: problems of this installation
* ``program_name``       the name of this program in messages
"""

import math
import signal
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from ..errors import Cancelled, MediaError, Upscale8KError, is_stop
from .program_name import insert_program_name

_SAME_STOP_SECONDS = 2.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code. Errors are printed as a sentence and the next step."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    with _stop_at_ctrl_c():
        try:
            from .commands import run_command_line

            return run_command_line(arguments)
        except Upscale8KError as error:
            return _report_failure(error, arguments)
        except (KeyboardInterrupt, RuntimeError) as error:
            if not is_stop(error):
                raise
            return _report_failure(Cancelled("Stopped."), arguments)
        except OSError as error:
            if error.filename is None:
                raise
            # A folder that may not be entered, a name that is too long: whatever looked at the path first.
            what = f"{error.filename} cannot be used: {error.strerror}."
            return _report_failure(MediaError(what, "Check the name and the permissions of its folder."), arguments)


@contextmanager
def _stop_at_ctrl_c() -> Generator[None]:
    """Raise ``KeyboardInterrupt`` at Ctrl-C and at ``kill``, once for several in a row: a run that stops is not disturbed.

    Python allows this in the main thread only, and a program that calls us keeps its own handler of Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    last_time = -math.inf

    def stop(*_: object) -> None:
        nonlocal last_time
        now = time.monotonic()
        is_repeated, last_time = now - last_time < _SAME_STOP_SECONDS, now
        if not is_repeated:
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGTERM, stop)
    if before[signal.SIGINT] is signal.default_int_handler:
        signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before[signal.SIGTERM])
        if last_time == -math.inf:  # else Python ends in a moment, and the rest of ten quick Ctrl-C would be a traceback there
            signal.signal(signal.SIGINT, before[signal.SIGINT])


def _report_failure(error: Upscale8KError, arguments: Sequence[str]) -> int:
    if "--traceback" in arguments:
        import traceback

        traceback.print_exception(error)
    print(insert_program_name(f"Error: {error}" if error.exit_code != Cancelled.exit_code else error), file=sys.stderr)
    return error.exit_code
