"""Attaches an engine to the UPSCALE_MODEL that it was built from: the value stays spandrel's descriptor, which every node
takes. Nodes that do not know engines run the weights as before.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from pathlib import Path

from ..models import Descriptor

_ATTRIBUTE = "upscale8k_engine"


@dataclass(frozen=True)
class AttachedEngine:
    """``fallback``: torch takes over, with a warning, where the engine cannot run."""

    path: Path
    fallback: bool = False


def attach_engine(descriptor: Descriptor, engine: AttachedEngine) -> Descriptor:
    """Return a copy with the same weights and ``engine``; ``descriptor`` itself is not changed."""
    copied = copy(descriptor)
    setattr(copied, _ATTRIBUTE, engine)
    return copied


def get_engine(descriptor: object) -> AttachedEngine | None:
    """Return the engine attached to an UPSCALE_MODEL value."""
    found = getattr(descriptor, _ATTRIBUTE, None)
    return found if isinstance(found, AttachedEngine) else None
