"""What the node calls: a model in, the same model with an engine on it out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from ..errors import HardwareMissing
from ..models.facts import UpscaleModel
from ..models.load import Descriptor, weights_hash
from .flavour import installed
from .obtain import Watch, obtain
from .source import from_model
from .target import target_for
from .wire import Engine, with_engine


@dataclass(frozen=True)
class Wanted:
    """``precision`` ``auto`` is fp16 where the model is safe in it; ``path`` None is a place in the cache folder."""

    precision: str
    tile: int
    static: bool
    workspace: int
    target: str
    path: Path | None


def with_engine_built(
    descriptor: Descriptor,
    wanted: Wanted,
    progress: Callable[[int, str], AbstractContextManager[Watch]],
    *,
    fallback: bool,
) -> Descriptor:
    """Another value with the same weights and an engine. Without TensorRT or a GPU: the model as it came, where ``fallback``
    asks for that, and ``HardwareMissing`` otherwise. Raises what ``from_model`` and ``obtain`` raise.
    """
    model = UpscaleModel.of(descriptor)
    half = wanted.precision == "fp16" or (wanted.precision == "auto" and model.half_safe)
    source = from_model(model, weights_hash(descriptor), wanted.tile, half=half, fixed=wanted.static)
    try:
        flavour = installed()
        target = target_for(wanted.target, flavour)
    except HardwareMissing as missing:
        if not fallback:
            hint = f"{missing.hint} Or switch fallback on, and torch runs the model."
            raise HardwareMissing(missing.what, hint, feature=missing.feature) from missing
        with progress(1, "step") as watch:
            watch.say(f"{missing.what} torch runs the model, as fallback asks.")
        return descriptor
    found = obtain(source, target, flavour, wanted.workspace, wanted.path, progress)
    return with_engine(descriptor, Engine(found.path, fallback))
