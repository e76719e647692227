"""SSIM, MS-SSIM, LPIPS, DISTS, MUSIQ and NIQE by the library pyiqa (https://github.com/chaofengc/IQA-PyTorch).

pyiqa downloads weights when a score is created. Here that is blocked: only weights that are already in its cache are used, and
they are read as tensors only. If weights are missing, the result explains how to get them. Everything runs on the CPU, so that
a score is the same on every machine.
"""

import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from typing import Any, NoReturn, cast

import torch

from ...errors import HardwareMissing, MediaError
from ...media import Floats
from .score_table import Score

PyiqaMetric = Callable[..., torch.Tensor]

_INSTALL_HINT = "Install it with: pip install upscale8k[scores]"
_DOWNLOAD_HINT = "python -c \"import pyiqa; pyiqa.create_metric('NAME')\" where NAME is lpips, dists, musiq or niqe."
_TENSORS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


class _DownloadBlocked(Exception):
    """Raised instead of a download."""


class _PyiqaLibrary:
    def __init__(self) -> None:
        self._metrics: dict[str, PyiqaMetric] = {}

    def measure(self, scores: Sequence[Score], image: Floats, reference: Floats | None) -> dict[str, float]:
        return {score.key: self._measure_score(score, image, reference) for score in scores}

    def _measure_score(self, score: Score, image: Floats, reference: Floats | None) -> float:
        if score.key not in self._metrics:
            self._metrics[score.key] = _create_metric(score)
        images = [torch.as_tensor(pixels).permute(2, 0, 1)[None] for pixels in (image, reference) if pixels is not None]
        try:
            with torch.inference_mode(), redirect_stdout(sys.stderr):
                return float(self._metrics[score.key](*images))
        except (RuntimeError, ValueError, AssertionError) as error:
            raise MediaError(f"pyiqa could not compute it: {_get_first_line(error)}.") from error


def open_library() -> _PyiqaLibrary:
    """Open pyiqa. Raises ``HardwareMissing`` if it is not installed."""
    _import_pyiqa()
    return _PyiqaLibrary()


def _import_pyiqa() -> Any:
    try:
        with redirect_stdout(sys.stderr):
            import pyiqa  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise HardwareMissing("The package pyiqa is not installed.", _INSTALL_HINT, feature="pyiqa") from error
    return cast(Any, pyiqa)


def _create_metric(score: Score) -> PyiqaMetric:
    pyiqa = _import_pyiqa()
    try:
        with _block_downloads(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            return cast(PyiqaMetric, pyiqa.create_metric(score.key, device=torch.device("cpu")))
    except _DownloadBlocked:
        raise HardwareMissing(
            "Weights are missing, and nothing is downloaded automatically.",
            f"Get them once with: {_DOWNLOAD_HINT}",
            feature=score.key,
        ) from None
    except Exception as error:  # whatever an external library raises for a damaged file or in another version
        raise HardwareMissing(
            f"pyiqa cannot create it: {_get_first_line(error)}.", "Update it: pip install -U pyiqa", feature=score.key
        ) from error


@contextmanager
def _block_downloads() -> Generator[None]:
    """Make downloads by pyiqa and torchvision raise ``_DownloadBlocked``, and files load as tensors only."""
    modules: list[Any] = [torch.hub, import_module("pyiqa.utils.download_util")]
    original_functions = [module.download_url_to_file for module in modules]
    previous_value = os.environ.get(_TENSORS_ONLY)
    for module in modules:
        module.download_url_to_file = _reject_download
    os.environ[_TENSORS_ONLY] = "1"
    try:
        yield
    finally:
        for module, download in zip(modules, original_functions, strict=True):
            module.download_url_to_file = download
        os.environ.pop(_TENSORS_ONLY)
        if previous_value is not None:
            os.environ[_TENSORS_ONLY] = previous_value


def _reject_download(url: str, *_: object, **__: object) -> NoReturn:
    raise _DownloadBlocked(url)


def _get_first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
