"""The engine that is wanted: the one from before where it is exactly that, a new one otherwise."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..models.converted import cache_folder
from .build import STEPS, Order, build
from .flavour import Flavour
from .source import Source
from .stamp import Stamp, expect_place, what_differs, write_engine
from .target import Target


class Watch(Protocol):
    """Where progress goes."""

    def advance(self, steps: int = 1) -> None: ...
    def say(self, text: str) -> None: ...


@dataclass(frozen=True)
class Obtained:
    path: Path
    stamp: Stamp
    built: bool
    """False: it was there."""


def obtain(
    source: Source,
    target: Target,
    flavour: Flavour,
    workspace: int,
    path: Path | None,
    progress: Callable[[int, str], AbstractContextManager[Watch]],
) -> Obtained:
    """The engine at ``path``, or in the cache folder. Raises what the export, ``build`` and ``expect_place`` raise."""
    stamp = stamp_for(source, target, flavour, workspace)
    path = path or cache_folder() / "engines" / f"{Path(source.title).stem}-{stamp.key[:32]}.trt"
    differs = what_differs(path, stamp)
    if not differs:
        return Obtained(path, stamp, built=False)
    expect_place(path)
    with progress(STEPS, "step") as watch:
        if path.exists():
            watch.say(f"The engine {path.name} is built anew: {', '.join(differs)}.")
        content = build(Order(source.graph(), source.shapes, target, workspace), flavour, watch.advance)
        write_engine(path, content, stamp)
    return Obtained(path, stamp, built=True)


def stamp_for(source: Source, target: Target, flavour: Flavour, workspace: int) -> Stamp:
    """An engine for named capabilities runs with any driver that RTX supports; one for a GPU belongs to its driver, too."""
    return Stamp(
        weights=source.weights,
        scale=source.scale,
        multiple=source.multiple,
        precision=source.precision,
        flavour=flavour.name,
        version=flavour.version,
        target=",".join(target.capabilities) or target.gpu,
        driver="" if target.capabilities else target.driver,
        workspace=workspace,
        tile=source.shapes.tile,
        least=source.shapes.least,
        best=source.shapes.best,
        most=source.shapes.most,
    )
