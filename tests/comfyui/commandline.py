"""``python -m runtime`` as a person runs it: from the checkout, without ComfyUI."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from upscale8k.runtime.cli import main


def runtime(root: Path, *arguments: object) -> str:
    """What the command prints on stdout. A status other than 0 is an AssertionError with what it said.

    In a thread of its own, because a browser may hold the event loop of this one.
    """
    with chdir(root), redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err, ThreadPoolExecutor(1) as thread:
        code = thread.submit(main, [*map(str, arguments)]).result(300)
    assert code == 0, err.getvalue()
    return out.getvalue()
