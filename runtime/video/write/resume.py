"""Which of the numbered places a film goes to: where its own run was stopped, else a new one.

The default name is the same for every film, so what lies unfinished under it is mostly another film's. It is gone on with only
by a run that asks exactly the same; nobody else touches it. Only what has nothing finished yet may be taken over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ...atomic_write import NUMBERED_NAME
from ...file_lock import OutputLocked

ResultT = TypeVar("ResultT")
SOURCE_KEY = "source or model"
"""The name, in everything that was asked, of the identity of the film."""


@dataclass(frozen=True)
class UnfinishedOutput:
    """What another run has begun and not finished; it may be at work still."""

    path: Path
    job_settings: Mapping[str, Any]
    finished_count: int
    """Segments or pictures that are whole."""
    leftover_folder: Path
    """The folder to delete when nobody is to go on with it."""


@dataclass(frozen=True)
class OutputSlot:
    """A place among those of its name, and what was begun at it."""

    path: Path
    find_unfinished: Callable[[Path], UnfinishedOutput | None]
    unfinished_suffix: str = ""
    """What follows the name of the place while it is unfinished: ``.parts``."""

    def iterate_unfinished_below(self) -> Iterator[UnfinishedOutput]:
        """What was begun at places with lower numbers, the highest first."""
        match = NUMBERED_NAME.fullmatch(self.path.name)
        if match is None or not self.path.parent.is_dir():
            return
        name_pattern = re.compile(f"{re.escape(match[1])}_(\\d+){re.escape(match[3] + self.unfinished_suffix)}")
        numbers = (
            (int(found[1]), each.name) for each in self.path.parent.iterdir() if (found := name_pattern.fullmatch(each.name))
        )
        for number, name in sorted(numbers, reverse=True):
            unfinished = (
                self.find_unfinished(self.path.with_name(name.removesuffix(self.unfinished_suffix)))
                if number < int(match[2])
                else None
            )
            if unfinished:
                yield unfinished


class ResumeRequest:
    """What a run asks for: ``source`` alone is known at once, the rest when ``asked`` is called."""

    def __init__(
        self, source_identity: str, get_job_settings: Callable[[], Mapping[str, Any]], on_message: Callable[[str], None]
    ) -> None:
        self._source_identity, self._get_job_settings, self._on_message = source_identity, get_job_settings, on_message

    def find_own(self, unfinished: Sequence[UnfinishedOutput], new_path: Path) -> UnfinishedOutput | None:
        """What this very run had begun; says why it is none of those that the same film left."""
        same_source = [
            each for each in unfinished if self._source_identity and each.job_settings.get(SOURCE_KEY) == self._source_identity
        ]
        if not same_source:
            return None
        job_settings = self._get_job_settings()
        exact = next(
            (each for each in same_source if all(each.job_settings.get(name) == job_settings[name] for name in job_settings)),
            None,
        )
        last = next((each for each in same_source if each.finished_count), None)
        if exact is None and last is not None:
            changed = next(name for name in job_settings if last.job_settings.get(name) != job_settings[name])
            self._on_message(
                f"Starting anew as {new_path.name}: the {changed} changed since {last.path.name} was begun. "
                f"Delete {last.leftover_folder.name} if nobody is to go on with that."
            )
        return exact


def write_or_resume(
    find_slot: Callable[[], OutputSlot], request: ResumeRequest, write: Callable[[Path], ResultT]
) -> tuple[Path, ResultT]:
    """``write`` to the place where this very run was stopped, else to the new one that ``find`` gives; and where that is.

    Where another run is quicker to take a place, the next one is tried. Raises ``Busy`` when somebody is making the very same
    there, and what ``write`` raises.
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
