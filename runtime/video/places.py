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

from .journal import Busy

Result = TypeVar("Result")
SOURCE = "source or model"
"""The name, in everything that was asked, of the identity of the film."""
_NUMBERED = re.compile(r"(.+_)(\d+)(_(?:\.\w+)?)")


@dataclass(frozen=True)
class Begun:
    """What another run has begun and not finished; it may be at work still."""

    place: Path
    asked: Mapping[str, Any]
    finished: int
    """Segments or pictures that are whole."""
    left: Path
    """The folder to delete when nobody is to go on with it."""


@dataclass(frozen=True)
class Place:
    """A place among those of its name, and what was begun at it."""

    path: Path
    begun: Callable[[Path], Begun | None]
    ending: str = ""
    """What follows the name of the place while it is unfinished: ``.parts``."""

    def lower(self) -> Iterator[Begun]:
        """What was begun at places with lower numbers, the highest first."""
        match = _NUMBERED.fullmatch(self.path.name)
        if match is None or not self.path.parent.is_dir():
            return
        alike = re.compile(f"{re.escape(match[1])}(\\d+){re.escape(match[3] + self.ending)}")
        numbers = ((int(found[1]), each.name) for each in self.path.parent.iterdir() if (found := alike.fullmatch(each.name)))
        for number, name in sorted(numbers, reverse=True):
            begun = self.begun(self.path.with_name(name.removesuffix(self.ending))) if number < int(match[2]) else None
            if begun:
                yield begun


class Wish:
    """What a run asks for: ``source`` alone is known at once, the rest when ``asked`` is called."""

    def __init__(self, source: str, asked: Callable[[], Mapping[str, Any]], say: Callable[[str], None]) -> None:
        self._source, self._asked, self._say = source, asked, say

    def own(self, begun: Sequence[Begun], new: Path) -> Begun | None:
        """What this very run had begun; says why it is none of those that the same film left."""
        same = [each for each in begun if self._source and each.asked.get(SOURCE) == self._source]
        if not same:
            return None
        now = self._asked()
        exact = next((each for each in same if all(each.asked.get(name) == now[name] for name in now)), None)
        last = next((each for each in same if each.finished), None)
        if exact is None and last is not None:
            changed = next(name for name in now if last.asked.get(name) != now[name])
            self._say(
                f"Starting anew as {new.name}: the {changed} changed since {last.place.name} was begun. "
                f"Delete {last.left.name} if nobody is to go on with that."
            )
        return exact


def write_at_its_place(find: Callable[[], Place], wish: Wish, write: Callable[[Path], Result]) -> tuple[Path, Result]:
    """``write`` to the place where this very run was stopped, else to the new one that ``find`` gives; and where that is.

    Where another run is quicker to take a place, the next one is tried. Raises ``Busy`` when somebody is making the very same
    there, and what ``write`` raises.
    """
    taken: set[Path] = set()
    while True:
        new = find()
        begun = list(new.lower())
        free = [each.place for each in begun if not each.finished and each.place not in taken]
        other = (free or [new.path])[0]
        own = wish.own(begun, other)
        path = own.place if own else other
        try:
            return path, write(path)
        except Busy:
            if own or path in taken:
                raise
            taken.add(path)
