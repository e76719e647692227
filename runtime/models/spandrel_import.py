"""spandrel: the networks, and the registry that tells from its tensors which one a file holds.

Everybody takes spandrel from here. Two of its architectures, for faces and for holes in pictures, ask torchvision for
three functions, and torchvision brings torch's compiler along: 155 MB and a second or two, in a process that would never use
them. While spandrel is imported, torchvision is therefore stood in for by promises, which import it when they are called.
Where somebody has imported it already, as in ComfyUI, nothing is done.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_FUNCTIONAL = "torchvision.transforms.functional"


class _LazyAttribute:
    """A function or class of torchvision, looked up when it is called or asked for something."""

    def __init__(self, name: str) -> None:
        self._name = name

    def _resolve(self) -> Any:
        torchvision = importlib.import_module(_FUNCTIONAL)
        if isinstance(torchvision, _LazyModule):
            raise ImportError(f"{self._name} of torchvision is wanted before spandrel is imported.")
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
except (TypeError, ImportError, AttributeError):  # a later spandrel that wants more of torchvision than to call it
    for _name in [name for name in sys.modules if name.partition(".")[0] == "spandrel"]:
        del sys.modules[_name]

from spandrel import MAIN_REGISTRY, ImageModelDescriptor, UnsupportedModelError, canonicalize_state_dict  # noqa: E402
from spandrel.architectures.Compact import Compact  # noqa: E402
from spandrel.architectures.ESRGAN import ESRGAN  # noqa: E402
from spandrel.architectures.SwinIR import SwinIR  # noqa: E402

__all__ = [
    "ESRGAN",
    "MAIN_REGISTRY",
    "Compact",
    "ImageModelDescriptor",
    "SwinIR",
    "UnsupportedModelError",
    "canonicalize_state_dict",
]
