"""Read the versions of the installed packages without importing them."""

from __future__ import annotations

import platform
import re
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from ..upscale import list_backend_packages

_PACKAGES = (
    "torch",
    "torchvision",
    "spandrel",
    "numpy",
    "av",
    "opencv-python-headless",
    "OpenImageIO",
    "Pillow",
)
_OTHER_PACKAGES = (
    "ncnn",
    "nvidia-ml-py",
    "comfyui-frontend-package",
)


def get_installed_version(name: str) -> str | None:
    """Return the version of a package; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def list_versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages, those of the backends included."""
    names = dict.fromkeys(("upscale8k", *_PACKAGES, *list_backend_packages(), *_OTHER_PACKAGES))
    found = {name: version for name in names if (version := get_installed_version(name))}
    return {"python": platform.python_version(), **found}


def read_torch_build() -> str | None:
    """Return the hardware torch was built for, as ``CUDA 13.0``, ``ROCm 6.4`` or ``CPU``; None if it is unknown.

    It is read from ``version.py`` as text, because the version number is not enough: on Windows a plain 2.9.0 is for the CPU.
    """
    found = find_spec("torch")
    if found is None or not found.origin:
        return None
    try:
        text = Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    for word, name in (("cuda", "CUDA"), ("hip", "ROCm")):
        stated = re.search(rf"^{word}\b[^=\n]*= *['\"]([^'\"]+)['\"]", text, re.MULTILINE)
        if stated:
            return f"{name} {stated[1]}"
    return "CPU" if re.search(r"^cuda\b", text, re.MULTILINE) else None
