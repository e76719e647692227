"""One line of what ``bench gpu --full`` prints."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class CheckRow:
    """A result. ``is_correct`` None: a measurement, which is neither right nor wrong."""

    text: str
    is_correct: bool | None = None

    def __str__(self) -> str:
        verdict = {None: "", True: "ok", False: "WRONG"}[self.is_correct]
        return f"{verdict:6}{self.text}"


Rows = Iterator[CheckRow]
