"""SSIM, MS-SSIM, LPIPS, DISTS, MUSIQ and NIQE by the library pyiqa (https://github.com/chaofengc/IQA-PyTorch).

pyiqa fetches weights when a score is made. Here that is refused: only weights that lie in its cache already are used, and they
are read as tensors only. A score without its weights says how to get them. Everything runs on the CPU,
so that a score is the same on every machine.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from typing import Any, NoReturn, cast

import torch

from ..errors import HardwareMissing, MediaError
from .pictures import Floats
from .scores import Score

Metric = Callable[..., torch.Tensor]

_INSTALL = "Install it with: pip install upscale8k[scores]"
_GET = "python -c \"import pyiqa; pyiqa.create_metric('NAME')\" where NAME is lpips, dists, musiq or niqe."
_TENSORS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


class _WouldDownload(Exception):
    """Instead of a download."""


class _Pyiqa:
    def __init__(self) -> None:
        self._made: dict[str, Metric] = {}

    def measure(self, scores: Sequence[Score], picture: Floats, reference: Floats | None) -> dict[str, float]:
        return {score.key: self._number(score, picture, reference) for score in scores}

    def _number(self, score: Score, picture: Floats, reference: Floats | None) -> float:
        if score.key not in self._made:
            self._made[score.key] = _made(score)
        pictures = [torch.as_tensor(pixels).permute(2, 0, 1)[None] for pixels in (picture, reference) if pixels is not None]
        try:
            with torch.inference_mode(), redirect_stdout(sys.stderr):
                return float(self._made[score.key](*pictures))
        except (RuntimeError, ValueError, AssertionError) as error:
            raise MediaError(f"pyiqa could not compute it: {_line(error)}.") from error


def open_library() -> _Pyiqa:
    """Raises ``HardwareMissing`` where it is not installed."""
    _imported()
    return _Pyiqa()


def _imported() -> Any:
    try:
        with redirect_stdout(sys.stderr):
            import pyiqa  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise HardwareMissing("The package pyiqa is not installed.", _INSTALL, feature="pyiqa") from error
    return cast(Any, pyiqa)


def _made(score: Score) -> Metric:
    pyiqa = _imported()
    try:
        with _only_what_is_here(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            return cast(Metric, pyiqa.create_metric(score.key, device=torch.device("cpu")))
    except _WouldDownload:
        raise HardwareMissing(
            "Weights are not here, and nothing is downloaded unasked.", f"Get them once with: {_GET}", feature=score.key
        ) from None
    except Exception as error:  # whatever a foreign library raises over a damaged file or another version of itself
        raise HardwareMissing(
            f"pyiqa cannot make it: {_line(error)}.", "Update it: pip install -U pyiqa", feature=score.key
        ) from error


@contextmanager
def _only_what_is_here() -> Generator[None]:
    """Whatever pyiqa or torchvision would download raises ``_WouldDownload``, and a file may hold nothing but tensors."""
    places: list[Any] = [torch.hub, import_module("pyiqa.utils.download_util")]
    before = [place.download_url_to_file for place in places]
    forced = os.environ.get(_TENSORS_ONLY)
    for place in places:
        place.download_url_to_file = _refuse
    os.environ[_TENSORS_ONLY] = "1"
    try:
        yield
    finally:
        for place, download in zip(places, before, strict=True):
            place.download_url_to_file = download
        os.environ.pop(_TENSORS_ONLY)
        if forced is not None:
            os.environ[_TENSORS_ONLY] = forced


def _refuse(url: str, *_: object, **__: object) -> NoReturn:
    raise _WouldDownload(url)


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
