"""How the scripts begin and end that draw on the real canvas and save what they drew."""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from peer.canvas import Browser, browser_problem
from peer.server import ComfyUI
from peer.tree import CHECKOUT, problem, tree


def asked(description: str, kind: str, known: Iterable[str]) -> argparse.Namespace:
    """The command line: ``names``, all that are ``known`` where none is given, and ``screenshots``, a folder or None.

    Ends the program for a name that is unknown, and where there is no ComfyUI or no browser.
    """
    names = list(known)
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(names)}; all when none is named")
    parser.add_argument("--screenshots", type=Path, metavar="FOLDER", help="where images of the canvas go")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(names):
        parser.error(f"no {kind} {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if reason := problem() or browser_problem():
        sys.exit(reason)
    arguments.names = arguments.names or names
    if arguments.screenshots:
        arguments.screenshots.mkdir(parents=True, exist_ok=True)
    return arguments


@contextmanager
def at_work() -> Iterator[tuple[ComfyUI, Browser]]:
    """A server with this checkout and the samples in its input folder, and a browser; afterwards both are gone."""
    with tempfile.TemporaryDirectory() as scratch:
        server = ComfyUI(tree(), Path(scratch) / "comfyui", pack=CHECKOUT, pack_name="upscale8k")
        server.take_samples(CHECKOUT / "workflows" / "media")
        try:
            server.start()
            browser = Browser()
            try:
                yield server, browser
            finally:
                browser.close()
        finally:
            server.stop()
