"""Choose the numbered output of a video: the one where the same run was interrupted, else a new one.

The default name is the same for every video, so an unfinished output of that name is mostly another video's. Only a run with
exactly the same settings resumes it. An unfinished output without any finished part may be replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ...atomic_write import NUMBERED_NAME
from ...file_lock import OutputLocked
from ...progress import OnMessage

ResultT = TypeVar("ResultT")
SOURCE_KEY = "source or model"
"""The key of the video's identity in job settings."""


@dataclass(frozen=True)
class UnfinishedOutput:
    """An output that another run has begun and not finished; it may still be running."""

    path: Path
    job_settings: Mapping[str, Any]
    finished_count: int
    """Number of complete segments or images."""
    leftover_folder: Path
    """The folder to delete to give it up."""


@dataclass(frozen=True)
class OutputSlot:
    """A numbered output path, and how to find what was begun at other numbers."""

    path: Path
    find_unfinished: Callable[[Path], UnfinishedOutput | None]
    unfinished_suffix: str = ""
    """Follows the name while the output is unfinished: ``.parts``."""

    def iterate_unfinished_below(self) -> Iterator[UnfinishedOutput]:
        """Yield what was begun at lower numbers, the highest first."""
        match = NUMBERED_NAME.fullmatch(self.path.name)
        if match is None or not self.path.parent.is_dir():
            return
        name_pattern = re.compile(f"{re.escape(match[1])}_(\\d+){re.escape(match[3] + self.unfinished_suffix)}")
        numbers = (
            (int(found[1]), each.name) for each in self.path.parent.iterdir() if (found := name_pattern.fullmatch(each.name))
        )
        for number, name in sorted(numbers, reverse=True):
            path = self.path.with_name(name.removesuffix(self.unfinished_suffix))
            if number < int(match[2]) and (unfinished := self.find_unfinished(path)):
                yield unfinished


class ResumeRequest:
    """The settings of a run: the source's identity is known at once, the rest when ``get_job_settings`` is called."""

    def __init__(self, source_identity: str, get_job_settings: Callable[[], Mapping[str, Any]], on_message: OnMessage) -> None:
        self._source_identity, self._get_job_settings, self._on_message = source_identity, get_job_settings, on_message

    def find_own(self, unfinished: Sequence[UnfinishedOutput], new_path: Path) -> UnfinishedOutput | None:
        """Return the output that a run with the same settings began; report why another of the same source differs."""
        same_source = [
            each for each in unfinished if self._source_identity and each.job_settings.get(SOURCE_KEY) == self._source_identity
        ]
        if not same_source:
            return None
        job_settings = self._get_job_settings()

        def list_changes(output: UnfinishedOutput) -> list[str]:
            return [name for name in job_settings if output.job_settings.get(name) != job_settings[name]]

        exact = next((each for each in same_source if not list_changes(each)), None)
        last = next((each for each in same_source if each.finished_count), None)
        if exact is None and last is not None:
            changed = list_changes(last)[0]
            self._on_message(
                f"Starting anew as {new_path.name}: the {changed} changed since {last.path.name} was begun. "
                f"Delete {last.leftover_folder.name} unless that run is to be continued."
            )
        return exact


def write_or_resume(
    find_slot: Callable[[], OutputSlot], request: ResumeRequest, write: Callable[[Path], ResultT]
) -> tuple[Path, ResultT]:
    """Call ``write`` with the path where the same run was interrupted, else with a new one of ``find_slot``.

    Return the path and the result. If another run takes a path first, the next one is tried. Raises ``OutputLocked`` if another
    run is writing the same output there, and whatever ``write`` raises.
    """
    taken: set[Path] = set()
    while True:
        new_slot = find_slot()
        unfinished = list(new_slot.iterate_unfinished_below())
        free = [each.path for each in unfinished if not each.finished_count and each.path not in taken]
        fallback = (free or [new_slot.path])[0]
        own = request.find_own(unfinished, fallback)
        path = own.path if own else fallback
        try:
            return path, write(path)
        except OutputLocked:
            if own or path in taken:
                raise
            taken.add(path)
