"""Import spandrel: the networks, and the registry that recognises a network by its tensors.

All modules import spandrel from here. Two of its architectures, for faces and for inpainting, use three functions of
torchvision, which loads torch's compiler: 155 MB and one to two seconds in a process that never uses them. While spandrel is
imported, lazy modules therefore replace torchvision and import it on the first call. If torchvision is already imported, as
in ComfyUI, nothing is replaced.
"""

import importlib
import importlib.util
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_FUNCTIONAL = "torchvision.transforms.functional"
_EXTRA = "spandrel_extra_arches"


class _LazyAttribute:
    """A function or class of torchvision, imported on the first call or attribute access."""

    def __init__(self, name: str) -> None:
        self._name = name

    def _resolve(self) -> Any:
        torchvision = importlib.import_module(_FUNCTIONAL)
        if isinstance(torchvision, _LazyModule):
            raise ImportError(f"torchvision's {self._name} was used before spandrel is imported.")
        return getattr(torchvision, self._name)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._resolve()(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._resolve(), name)


class _LazyModule(ModuleType):
    def __getattr__(self, name: str) -> _LazyAttribute:
        if name.startswith("__"):
            raise AttributeError(name)
        return _LazyAttribute(name)


@contextmanager
def _defer_torchvision() -> Generator[None]:
    if "torchvision" in sys.modules or "spandrel" in sys.modules:
        yield
        return
    names = ("torchvision", "torchvision.transforms", _FUNCTIONAL)
    sys.modules.update({name: _LazyModule(name) for name in names})
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


try:
    with _defer_torchvision():
        importlib.import_module("spandrel")
except (TypeError, ImportError, AttributeError):  # a later spandrel that uses more of torchvision than calls
    for _name in [name for name in sys.modules if name.partition(".")[0] == "spandrel"]:
        del sys.modules[_name]

from spandrel import (  # noqa: E402
    MAIN_REGISTRY,
    ArchRegistry,
    ImageModelDescriptor,
    ModelDescriptor,
    SizeRequirements,
    UnsupportedModelError,
    canonicalize_state_dict,
)
from spandrel.architectures.Compact import Compact  # noqa: E402
from spandrel.architectures.ESRGAN import ESRGAN  # noqa: E402
from spandrel.architectures.PLKSR import RealPLKSR  # noqa: E402
from spandrel.architectures.SwinIR import SwinIR  # noqa: E402

__all__ = [
    "ESRGAN",
    "MAIN_REGISTRY",
    "Compact",
    "ImageModelDescriptor",
    "ModelDescriptor",
    "RealPLKSR",
    "SizeRequirements",
    "SwinIR",
    "UnsupportedModelError",
    "canonicalize_state_dict",
    "describe_extra",
    "import_extra_registry",
]


def import_extra_registry() -> ArchRegistry | None:
    """Return the networks of ``spandrel_extra_arches``; None where it is not installed or cannot be imported.

    Its networks (SRFormer, Restormer, CodeFormer and others) have licences of their own, some not for commercial use, so that
    the package is never installed without a request.
    """
    try:
        return importlib.import_module(_EXTRA).EXTRA_REGISTRY
    except (ImportError, AttributeError):
        return None


def describe_extra() -> str:
    """Return a sentence about the extra package where it is missing, to be added to a hint; else nothing."""
    if importlib.util.find_spec(_EXTRA):
        return ""
    return (
        ". SRFormer, Restormer, MPRNet and others need: pip install upscale8k[extra-arches] (some of these networks may not be "
        "used commercially)"
    )
