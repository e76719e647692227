"""Progress, messages and cancellation of a piece of work: one protocol for the engine, the command line and ComfyUI."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

OnMessage = Callable[[str], None]


class Progress(Protocol):
    """Receives how far one piece of work is, in steps of its own unit."""

    def advance(self, steps: int = 1) -> None:
        """Count ``steps`` as done, then do what ``check_cancelled`` does."""

    def message(self, text: str) -> None:
        """Show a sentence beside the bar: a warning, or a decision that was made."""

    def update(self, **numbers: int) -> None:
        """Show these numbers beside the bar from now on, such as ``bytes`` written or ``reused`` frames."""

    def preview(self, pixels: Any) -> None:
        """Show (H, W, C) of the unfinished result, or do nothing. Cheap to call often: few of the images are shown.

        ``pixels`` may be a function that returns them, called only when they are shown.
        """

    def check_cancelled(self) -> None:
        """Raise ComfyUI's interrupt if the user pressed stop. Do nothing on the command line: Ctrl-C raises by itself."""


OpenProgress = Callable[[int, str], AbstractContextManager[Progress]]
"""Opens a display for a total number of steps and their unit (``tile``, ``frame``, ``MB``). A total of 0: unknown."""


class SilentProgress(Progress):
    """Shows nothing, and is its own context manager."""

    def __enter__(self) -> SilentProgress:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def open_silent_progress(total: int = 0, unit: str = "") -> SilentProgress:
    """Open a display that shows nothing; an ``OpenProgress``."""
    return SilentProgress()


class ForwardedProgress:
    """Passes everything on to ``target``; adapters override what they change."""

    def __init__(self, target: Progress) -> None:
        self.target = target

    def advance(self, steps: int = 1) -> None:
        self.target.advance(steps)

    def message(self, text: str) -> None:
        self.target.message(text)

    def update(self, **numbers: int) -> None:
        self.target.update(**numbers)

    def preview(self, pixels: Any) -> None:
        self.target.preview(pixels)

    def check_cancelled(self) -> None:
        self.target.check_cancelled()


class ScaledProgress(ForwardedProgress):
    """One part of a larger piece of work: its ``total`` steps become ``share`` steps of ``target``, without previews."""

    def __init__(self, target: Progress, total: int, share: int) -> None:
        super().__init__(target)
        self._total, self._share, self._done = max(total, 1), share, 0

    def advance(self, steps: int = 1) -> None:
        before = self._done * self._share // self._total
        self._done += steps
        self.target.advance(self._done * self._share // self._total - before)

    def preview(self, pixels: Any) -> None:
        return None


class PreviewProgress(ForwardedProgress):
    """Previews ``result``, the buffer that the work fills, after every step."""

    def __init__(self, target: Progress, result: Any) -> None:
        super().__init__(target)
        self.result = result

    def advance(self, steps: int = 1) -> None:
        self.target.advance(steps)
        self.target.preview(self.result)


class MessageLog(ForwardedProgress):
    """Passes each message on once, and keeps it."""

    def __init__(self, target: Progress) -> None:
        super().__init__(target)
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        if text not in self.messages:
            self.messages.append(text)
            self.target.message(text)


class ProgressRelay(ForwardedProgress):
    """The progress of a recipe: that of whoever runs it at the moment. Messages wait while nothing runs it."""

    def __init__(self) -> None:
        super().__init__(SilentProgress())
        self._running = False
        self._pending: list[str] = []

    def message(self, text: str) -> None:
        if self._running:
            self.target.message(text)
        elif text not in self._pending:
            self._pending.append(text)

    @contextmanager
    def forward_to(self, target: Progress) -> Generator[None]:
        """Forward to ``target`` inside the block, the messages that waited first."""
        self.target, self._running = target, True
        for text in self._pending:
            target.message(text)
        self._pending.clear()
        try:
            yield
        finally:
            self.target, self._running = SilentProgress(), False
