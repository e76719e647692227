"""Import the libraries of Upscale8K and test what breaks most often in each. Runs by path, in a process of its own.

Prints a JSON line before and after each library, so that a crash shows which library caused it. Arguments: ``cuda`` to test
an NVIDIA GPU, ``nvenc`` to test its video encoder, ``NAME=TITLE`` for each encoder that FFmpeg should have.
"""

# The libraries checked here may be untyped or broken.
# pyright: basic

import json
import sys
from collections.abc import Callable
from fractions import Fraction
from importlib import import_module
from typing import Any


def check_torch() -> dict[str, Any]:
    library: Any = import_module("torch")
    (library.ones(2, 2) @ library.ones(2, 2)).sum().item()
    return {"version": library.__version__}


def check_torchvision() -> dict[str, Any]:
    """Call an operator: a torchvision for another torch imports, but has no operators."""
    torch_, vision = import_module("torch"), import_module("torchvision")
    vision.ops.nms(torch_.zeros(1, 4), torch_.zeros(1), 0.5)
    return {"version": vision.__version__}


def check_cuda() -> dict[str, Any]:
    """Compute on the GPU: a torch that is older than the GPU detects it, but has no code for it."""
    library: Any = import_module("torch")
    if not library.cuda.is_available():
        raise RuntimeError("torch.cuda.is_available() is False")
    ones = library.ones(64, 64, device="cuda", dtype=library.float16)
    return {"version": str((ones @ ones).sum().item())}


def check_av(encoders: list[str]) -> dict[str, Any]:
    library: Any = import_module("av")
    names_and_titles = (encoder.split("=") for encoder in encoders)
    missing = [title for name, title in names_and_titles if name not in library.codecs_available]
    return {"version": library.__version__, "missing": missing}


def check_nvenc() -> dict[str, Any]:
    library: Any = import_module("av")
    context = library.CodecContext.create("hevc_nvenc", "w")
    context.width, context.height, context.pix_fmt, context.time_base = 256, 256, "yuv420p", Fraction(1, 25)
    context.open()
    return {"version": "hevc_nvenc"}


def make_import_check(name: str) -> Callable[[], dict[str, Any]]:
    return lambda: {"version": str(getattr(import_module(name), "__version__", ""))}


def main(wanted: list[str]) -> None:
    checks: dict[str, Callable[[], dict[str, Any]]] = {
        "numpy": make_import_check("numpy"),
        "torch": check_torch,
        "torchvision": check_torchvision,
        "spandrel": make_import_check("spandrel"),
        "av": lambda: check_av([argument for argument in wanted if "=" in argument]),
        "cv2": make_import_check("cv2"),
        "OpenImageIO": make_import_check("OpenImageIO"),
        "cuda": check_cuda,
        "nvenc": check_nvenc,
    }
    for name, check in checks.items():
        if name in ("cuda", "nvenc") and name not in wanted:
            continue
        print(json.dumps({"trying": name}), flush=True)
        try:
            answer = {"ok": name, **check()}
        except BaseException as error:
            answer = {"failed": name, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
