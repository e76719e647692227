"""Show progress with an ETA on stderr: a live bar on a terminal, plain lines in a log, JSON lines for a program, or nothing.

A run executes one node at a time, so there is one bar at a time.
"""

import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from ..progress import Progress, SilentProgress
from .program_name import insert_program_name

DisplayMode = Literal["auto", "rich", "plain", "json", "none"]
DISPLAY_MODES: tuple[DisplayMode, ...] = ("auto", "rich", "plain", "json", "none")


@dataclass
class ProgressState:
    """The progress of one piece of work."""

    total: int
    """Number of steps; 0 means unknown."""
    unit: str
    done: int = 0
    seconds: float = 0.0
    numbers: dict[str, int] = field(default_factory=dict[str, int])
    """The values of ``Progress.update``: ``resumed`` from an earlier run, ``reused``, ``bytes``."""

    @property
    def has_total(self) -> bool:
        """Whether the total is known; a total below ``done`` was an estimate."""
        return 0 < self.total >= self.done

    @property
    def done_text(self) -> str:
        """The percentage done, or the number of steps if the total is unknown."""
        if self.has_total:
            return f"{100 * self.done // self.total:3} %"
        return f"{self.done} {self.unit}{'s' if self.done != 1 else ''}"

    @property
    def remaining_seconds(self) -> float | None:
        """Seconds left at the speed so far, without resumed steps; None before the first step or without a total."""
        if not self.has_total:
            return None
        resumed = self.numbers.get("resumed", 0)
        return estimate_remaining_seconds(self.done - resumed, self.total - resumed, self.seconds)

    @property
    def frames_per_second(self) -> float | None:
        """Frames per second; None for other units and before the first frame."""
        done = self.done - self.numbers.get("resumed", 0)
        return done / self.seconds if self.unit == "frame" and done > 0 and self.seconds > 0 else None

    @property
    def details_text(self) -> str:
        """Speed, size and the other numbers as text; starts with a comma unless it is empty."""
        parts = [f"{self.frames_per_second:.3g} frames/s"] if self.frames_per_second is not None else []
        parts += [
            f"{number / 1e6:.1f} MB" if name == "bytes" else f"{number} {name}"
            for name, number in self.numbers.items()
            if number
        ]
        return "".join(f", {part}" for part in parts)


@dataclass
class BatchSummary:
    """What became of many files."""

    total: int
    done: int = 0
    kept: int = 0
    """Results that were there already."""
    failed: dict[str, str] = field(default_factory=dict[str, str])
    """Source -> reason."""
    seconds: float = 0.0

    def __str__(self) -> str:
        kept = f", {self.kept} there already" if self.kept else ""
        left = self.total - self.done - self.kept - len(self.failed)
        parts = [f"{self.done} of {self.total} done in {_format_clock(self.seconds)}{kept}"]
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        parts += [f"{left} left; run the same command again to continue"] if left else []
        return "\n".join([f"{', '.join(parts)}.", *(f"  {name}: {reason}" for name, reason in self.failed.items())])


class Display(ABC):
    """Shows messages and progress. ``label`` is the title of the current node, ``job`` names the current of many files."""

    label = ""
    node_id = ""
    job = ""
    shows_status = True
    """Whether ``show_status`` shows anything."""

    def start_job(self, number: int, total: int, name: str, seconds_left: float | None = None) -> None:
        """Set the current file, and show how long all files that are left will take; one file alone needs no name."""
        self.label = self.node_id = self.job = ""
        if total > 1:
            left = f", about {format_duration(seconds_left)} left for all" if seconds_left is not None else ""
            self.show_status(f"{number} of {total}, {Path(name).name}{left}")
            self.job = f"{number} of {total}, {Path(name).name}"

    def start_node(self, label: str, node_id: str = "") -> None:
        """Set the current node."""
        self.label, self.node_id = label, node_id

    def show_status(self, text: str) -> None:
        """Show what will happen; less important than a message."""
        self.show_message(insert_program_name(text))

    def show_value(self, label: str, node_id: str, value: object) -> None:  # noqa: B027  people read its message
        """Show what a node measured, as data."""

    def show_error(self, text: str) -> None:
        """Show the error of one file of many."""
        print(text, file=sys.stderr, flush=True)

    def show_summary(self, summary: BatchSummary) -> None:
        """Show what became of many files."""
        print(summary, file=sys.stderr, flush=True)

    def add_prefix(self, text: str) -> str:
        """Return ``text`` after the current file and node."""
        return ": ".join(part for part in (self.job, self.label, text) if part)

    @abstractmethod
    def show_message(self, text: str) -> None:
        """Show a sentence: a warning, or a decision."""

    @abstractmethod
    def show_progress(self, state: ProgressState) -> None:
        """Show the progress of the current node."""

    def clear_progress(self) -> None:  # noqa: B027  most displays have nothing to clear
        """Remove the progress after success or failure."""

    def wrap_progress(self, target: Progress) -> Progress:
        """Return what the work gets as its progress."""
        return target

    @contextmanager
    def track_progress(self, total: int, unit: str) -> Generator[Progress]:
        """Open the progress of one piece of work; an ``OpenProgress``."""
        progress = self.wrap_progress(_DisplayProgress(self, total, unit))
        progress.advance(0)
        try:
            yield progress
        finally:
            self.clear_progress()


class _DisplayProgress(SilentProgress):
    def __init__(self, display: Display, total: int, unit: str) -> None:
        self._display = display
        self._state = ProgressState(total, unit)
        self._began = time.monotonic()

    def advance(self, steps: int = 1) -> None:
        self._state.done += steps
        self._state.seconds = time.monotonic() - self._began
        self._display.show_progress(self._state)

    def message(self, text: str) -> None:
        self._display.show_message(insert_program_name(text))

    def update(self, **numbers: int) -> None:
        self._state.numbers.update(numbers)


class SilentDisplay(Display):
    """Shows messages but no progress."""

    shows_status = False

    def show_message(self, text: str) -> None:
        print(text, file=sys.stderr)

    def show_status(self, text: str) -> None:
        return None

    def show_summary(self, summary: BatchSummary) -> None:
        return None

    def show_progress(self, state: ProgressState) -> None:
        return None


class _LineDisplay(Display):
    """Prints a line of progress now and then, and one at the end."""

    interval_seconds: float
    _next_line_at = 0.0
    _last_end: str = ""

    def start_node(self, label: str, node_id: str = "") -> None:
        super().start_node(label, node_id)
        self._next_line_at = 0.0
        self._last_end = ""

    def _is_due(self, state: ProgressState) -> bool:
        end = f"{state.done} {state.numbers}" if state.done == state.total else ""
        if time.monotonic() < self._next_line_at and end in ("", self._last_end):
            return False
        self._next_line_at, self._last_end = time.monotonic() + self.interval_seconds, end
        return True


class PlainDisplay(_LineDisplay):
    """Prints a line every few seconds, for logs."""

    interval_seconds = 5.0

    def show_message(self, text: str) -> None:
        print(self.add_prefix(text), file=sys.stderr, flush=True)

    def show_progress(self, state: ProgressState) -> None:
        if self._is_due(state):
            left = f", {_format_clock(state.remaining_seconds)} left" if state.has_total else ""
            self.show_message(f"{state.done_text}, {_format_clock(state.seconds)} elapsed{left}{state.details_text}")


class JsonDisplay(_LineDisplay):
    """Prints one JSON object per line: ``job``, ``node``, ``message``, ``value``, ``progress``, ``error`` and ``summary``."""

    interval_seconds = 0.5

    def start_job(self, number: int, total: int, name: str, seconds_left: float | None = None) -> None:
        self.label = self.node_id = ""
        event = {"event": "job", "number": number, "total": total, "source": name}
        self._print_event({**event, "eta_seconds": None if seconds_left is None else round(seconds_left, 2)})

    def start_node(self, label: str, node_id: str = "") -> None:
        super().start_node(label, node_id)
        self._print_event({"event": "node", **self._node})

    @property
    def _node(self) -> dict[str, object]:
        return {"node": self.label, "node_id": self.node_id}

    def show_message(self, text: str) -> None:
        self._print_event({"event": "message", **self._node, "text": text})

    def show_value(self, label: str, node_id: str, value: object) -> None:
        self._print_event({"event": "value", "node": label, "node_id": node_id, "value": value})

    def show_error(self, text: str) -> None:
        self._print_event({"event": "error", **self._node, "text": text})

    def show_summary(self, summary: BatchSummary) -> None:
        self._print_event({"event": "summary", **asdict(summary)})

    def show_progress(self, state: ProgressState) -> None:
        if self._is_due(state):
            left = state.remaining_seconds
            total = state.total if state.has_total else None
            event = {"event": "progress", **self._node, "done": state.done, "total": total, "unit": state.unit}
            times = {"elapsed_seconds": round(state.seconds, 2), "eta_seconds": None if left is None else round(left, 2)}
            pace = {} if state.frames_per_second is None else {"frames_per_second": round(state.frames_per_second, 4)}
            self._print_event({**event, **times, **pace, **state.numbers})

    def _print_event(self, event: dict[str, object]) -> None:
        print(json.dumps(event), file=sys.stderr, flush=True)


class LiveDisplay(Display):
    """Shows a live progress bar."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True)
        # The estimate is ours: rich waits for more steps than there are tiles.
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[share]}", style="progress.percentage", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", style="progress.remaining", markup=False),
            console=self._console,
            transient=True,
        )
        self._task: TaskID | None = None

    def show_message(self, text: str) -> None:
        self._console.print(self.add_prefix(text), highlight=False, markup=False)

    def show_progress(self, state: ProgressState) -> None:
        if self._task is None:
            self._task = self._bar.add_task(self.add_prefix(""), total=None, share="", left="")
            self._bar.start()
        left = (
            f"{_format_clock(state.remaining_seconds)} left{state.details_text}"
            if state.has_total
            else state.details_text.removeprefix(", ")
        )
        (task,) = self._bar.tasks
        # None makes the bar pulse; update() would ignore it.
        task.total = state.total if state.has_total else None
        self._bar.update(self._task, completed=state.done, share=state.done_text, left=left)

    def clear_progress(self) -> None:
        if self._task is not None:
            self._bar.stop()
            self._bar.remove_task(self._task)
            self._task = None


def open_display(mode: DisplayMode) -> Display:
    """Return the display for ``--progress``; ``auto`` is a live bar on a terminal and plain lines elsewhere."""
    if mode == "auto":
        mode = "rich" if sys.stderr.isatty() else "plain"
    display_classes: dict[DisplayMode, type[Display]] = {
        "rich": LiveDisplay,
        "plain": PlainDisplay,
        "json": JsonDisplay,
        "none": SilentDisplay,
    }
    return display_classes[mode]()


def estimate_remaining_seconds(done: int, total: int, seconds: float) -> float | None:
    """Return the seconds left at the speed so far; None before the first step."""
    return seconds * max(0, total - done) / done if done > 0 else None


def format_duration(seconds: float) -> str:
    """Return a time as a person says it, such as 20 s, 6 min or 2.5 h."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _format_clock(seconds: float | None) -> str:
    if seconds is None:
        return "?:??"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
