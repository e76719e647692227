"""Sizes and regions in whole pixels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Size:
    """Width and height in pixels, both at least 1."""

    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"A size is at least 1x1 pixels, not {self.width}x{self.height}.")

    def __mul__(self, factor: int) -> Size:
        return Size(self.width * factor, self.height * factor)

    @property
    def pixel_count(self) -> int:
        return self.width * self.height

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class Region:
    """A rectangle: its top left corner and its extent, in pixels."""

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.x < 0 or self.y < 0 or self.width < 1 or self.height < 1:
            raise ValueError(f"{self} is not a region of an image: x and y are at least 0, width and height at least 1.")

    def __mul__(self, factor: int) -> Region:
        return Region(self.x * factor, self.y * factor, self.width * factor, self.height * factor)

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)

    @property
    def rows(self) -> slice:
        return slice(self.y, self.bottom)

    @property
    def columns(self) -> slice:
        return slice(self.x, self.right)

    def relative_to(self, outer: Region) -> Region:
        """Return this region in the coordinates of ``outer``, which must contain it."""
        return Region(self.x - outer.x, self.y - outer.y, self.width, self.height)
