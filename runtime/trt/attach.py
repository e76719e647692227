"""An engine travels on the UPSCALE_MODEL that it was built from: the value stays spandrel's descriptor, so every node takes it.

A node that knows nothing of engines runs the weights as before.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from pathlib import Path

from ..models.load import Descriptor

_ATTRIBUTE = "upscale8k_engine"


@dataclass(frozen=True)
class AttachedEngine:
    """``fallback``: torch takes over, with a warning, where the engine cannot run."""

    path: Path
    fallback: bool = False


def attach_engine(descriptor: Descriptor, engine: AttachedEngine) -> Descriptor:
    """Another value with the same weights, which carries ``engine``; the one that was given stays as it was."""
    copied = copy(descriptor)
    setattr(copied, _ATTRIBUTE, engine)
    return copied


def get_engine(descriptor: object) -> AttachedEngine | None:
    """The engine that a value on the wire carries."""
    found = getattr(descriptor, _ATTRIBUTE, None)
    return found if isinstance(found, AttachedEngine) else None
