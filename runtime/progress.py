"""Progress, messages and cancellation of a piece of work: one protocol for the engine, the command line and ComfyUI."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

OnMessage = Callable[[str], None]


class Progress(Protocol):
    """Receives how far one piece of work is, in steps of its own unit."""

    def advance(self, steps: int = 1) -> None:
        """Count ``steps`` as done, then do what ``check_cancelled`` does."""
        ...

    def message(self, text: str) -> None:
        """Show a sentence beside the bar: a warning, or a decision that was made."""
        ...

    def update(self, **numbers: int) -> None:
        """Show these numbers beside the bar from now on, such as ``bytes`` written or ``reused`` frames."""
        ...

    def preview(self, pixels: Any) -> None:
        """Show (H, W, C) of the unfinished result, or do nothing. Cheap to call often: few of the images are shown."""
        ...

    def check_cancelled(self) -> None:
        """Raise ComfyUI's interrupt if the user pressed stop. Do nothing on the command line: Ctrl-C raises by itself."""
        ...


OpenProgress = Callable[[int, str], AbstractContextManager[Progress]]
"""Opens a display for a total number of steps and their unit (``tile``, ``frame``, ``MB``). A total of 0: unknown."""


class SilentProgress:
    """Shows nothing. Its own context manager, and the base of adapters that use only a part of ``Progress``."""

    def __enter__(self) -> SilentProgress:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def advance(self, steps: int = 1) -> None:
        return None

    def message(self, text: str) -> None:
        return None

    def update(self, **numbers: int) -> None:
        return None

    def preview(self, pixels: Any) -> None:
        return None

    def check_cancelled(self) -> None:
        return None


def open_silent_progress(total: int = 0, unit: str = "") -> SilentProgress:
    """Open a display that shows nothing; an ``OpenProgress``."""
    return SilentProgress()
