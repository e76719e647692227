"""Progress with an ETA: a live bar on a terminal, plain lines in a log, JSON lines for a program, or nothing.

All of it goes to stderr. A run has one node at work at a time, so there is one bar at a time.
"""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from ..host import Progress

Mode = Literal["auto", "rich", "plain", "json", "none"]
MODES: tuple[Mode, ...] = ("auto", "rich", "plain", "json", "none")

_PLAIN_INTERVAL_SECONDS = 5.0
_JSON_INTERVAL_SECONDS = 0.5


@dataclass
class Work:
    """A piece of work under way."""

    total: int
    """0: nobody knows."""
    unit: str
    done: int = 0
    seconds: float = 0.0
    numbers: dict[str, int] = field(default_factory=dict[str, int])
    """What ``Progress.tell`` was told: ``resumed`` of an earlier run, ``reused``, ``bytes``."""

    @property
    def known(self) -> bool:
        """Whether there is a total to go by; one that was passed was an estimate."""
        return 0 < self.total >= self.done

    @property
    def share(self) -> str:
        """How much is done: a percentage, or where nobody knows the total, how many."""
        if self.known:
            return f"{100 * self.done // self.total:3} %"
        return f"{self.done} {self.unit}{'s' if self.done != 1 else ''}"

    @property
    def left(self) -> float | None:
        """Seconds that are left at the pace so far; None before there is a pace or without a total. What an earlier run did
        has none."""
        if not self.known:
            return None
        before = self.numbers.get("resumed", 0)
        return eta(self.done - before, self.total - before, self.seconds)

    @property
    def rate(self) -> float | None:
        """Frames a second; None for other units and before there is one."""
        done = self.done - self.numbers.get("resumed", 0)
        return done / self.seconds if self.unit == "frame" and done > 0 and self.seconds > 0 else None

    @property
    def details(self) -> str:
        """Pace, size and the other numbers, as a person reads them; begins with a comma unless it is empty."""
        known = [f"{self.rate:.3g} frames/s"] if self.rate is not None else []
        known += [
            f"{number / 1e6:.1f} MB" if name == "bytes" else f"{number} {name}"
            for name, number in self.numbers.items()
            if number
        ]
        return "".join(f", {one}" for one in known)


class Display(ABC):
    """Shows what is going on. ``label`` is the node that works now."""

    label = ""

    def node(self, label: str) -> None:
        """A node begins to work."""
        self.label = label

    @abstractmethod
    def say(self, text: str) -> None:
        """A sentence: a warning, or what was decided."""

    @abstractmethod
    def show(self, work: Work) -> None:
        """So much of the node's work is done."""

    def clear(self) -> None:  # noqa: B027  most displays have nothing to clear
        """The piece of work has ended, well or not."""

    @contextmanager
    def progress(self, total: int, unit: str) -> Generator[Progress]:
        """What ``LocalHost.show_progress`` is. ``total`` 0: nobody knows how much it will be."""
        count = _Count(self, total, unit)
        count.advance(0)
        try:
            yield count
        finally:
            self.clear()


class _Count:
    def __init__(self, display: Display, total: int, unit: str) -> None:
        self._display = display
        self._work = Work(total, unit)
        self._began = time.monotonic()

    def advance(self, steps: int = 1) -> None:
        self._work.done += steps
        self._work.seconds = time.monotonic() - self._began
        self._display.show(self._work)

    def say(self, text: str) -> None:
        self._display.say(text)

    def tell(self, **numbers: int) -> None:
        self._work.numbers.update(numbers)

    def preview(self, pixels: object) -> None:
        return None  # a terminal shows no pictures


class Silent(Display):
    """Only sentences, no progress."""

    def say(self, text: str) -> None:
        print(text, file=sys.stderr)

    def show(self, work: Work) -> None:
        return None


class Plain(Display):
    """A line now and then, for logs."""

    def __init__(self) -> None:
        self._next = 0.0

    def node(self, label: str) -> None:
        super().node(label)
        self._next = 0.0

    def say(self, text: str) -> None:
        print(f"{self.label}: {text}" if self.label else text, file=sys.stderr, flush=True)

    def show(self, work: Work) -> None:
        if time.monotonic() >= self._next or work.done == work.total:
            self._next = time.monotonic() + _PLAIN_INTERVAL_SECONDS
            left = f", {_clock(work.left)} left" if work.known else ""
            self.say(f"{work.share}, {_clock(work.seconds)} elapsed{left}{work.details}")


class JsonLines(Display):
    """One JSON object a line: ``progress``, ``message`` and ``node`` events."""

    def __init__(self) -> None:
        self._next = 0.0

    def node(self, label: str) -> None:
        super().node(label)
        self._next = 0.0
        self._print({"event": "node", "node": label})

    def say(self, text: str) -> None:
        self._print({"event": "message", "node": self.label, "text": text})

    def show(self, work: Work) -> None:
        if time.monotonic() >= self._next or work.done == work.total:
            self._next = time.monotonic() + _JSON_INTERVAL_SECONDS
            left = work.left
            total = work.total if work.known else None
            event = {"event": "progress", "node": self.label, "done": work.done, "total": total, "unit": work.unit}
            times = {"elapsed_seconds": round(work.seconds, 2), "eta_seconds": None if left is None else round(left, 2)}
            pace = {} if work.rate is None else {"frames_per_second": round(work.rate, 4)}
            self._print({**event, **times, **pace, **work.numbers})

    def _print(self, event: dict[str, object]) -> None:
        print(json.dumps(event), file=sys.stderr, flush=True)


class Live(Display):
    """A bar that moves."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True)
        # The estimate is ours: tiles are few and long, and rich would wait for more of them before it says anything.
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

    def say(self, text: str) -> None:
        self._console.print(f"{self.label}: {text}" if self.label else text, highlight=False, markup=False)

    def show(self, work: Work) -> None:
        if self._task is None:
            self._task = self._bar.add_task(self.label, total=None, share="", left="")
            self._bar.start()
        left = f"{_clock(work.left)} left{work.details}" if work.known else work.details.removeprefix(", ")
        (task,) = self._bar.tasks
        task.total = work.total if work.known else None  # without one the bar only moves; update() takes None for "as it was"
        self._bar.update(self._task, completed=work.done, share=work.share, left=left)

    def clear(self) -> None:
        if self._task is not None:
            self._bar.stop()
            self._bar.remove_task(self._task)
            self._task = None


def open_display(mode: Mode) -> Display:
    """The display for ``--progress``; ``auto`` is a bar on a terminal and lines anywhere else."""
    if mode == "auto":
        mode = "rich" if sys.stderr.isatty() else "plain"
    makers: dict[Mode, type[Display]] = {"rich": Live, "plain": Plain, "json": JsonLines, "none": Silent}
    return makers[mode]()


def eta(done: int, total: int, seconds: float) -> float | None:
    """Seconds that are left at the pace so far; None before there is a pace."""
    return seconds * max(0, total - done) / done if done > 0 else None


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "?:??"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
