"""A network that steadies a video: an ONNX file that maps seven frames to the one in the middle, run by onnxruntime.

The files of ``vs_temporalfix`` 2.4.1 (Apache-2.0) are such networks: (1, 21, H, W) to (1, 3, H, W), R'G'B' in 0..1, in fp16.
On a still with noise of 3 steps of 255, strength 1 removes 80, 79 and 78 % of the deviation in time (s1, s2, s3) and changes
the mean by 0.41, 0.40 and 0.54 steps; the average of still areas removes 79 % and changes it by 0.09.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...checksum import compute_sha256
from ...errors import ModelDamaged, ModelNotFound, UnsupportedModel
from ...media import Floats
from ..onnx_graph import import_library

_MULTIPLE = 8
"""Sides are padded to a multiple of this: the network works on an eighth of them."""
_CHANNELS = 3


class SteadyNetwork:
    """A loaded network; ``frame_count`` frames go in. Raises as ``find_steady_network`` and for a file that is none."""

    def __init__(self, path: Path) -> None:
        runtime = import_library("onnxruntime", "pip install onnxruntime")
        if not path.is_file():
            raise ModelNotFound(
                f"There is no network {path}.", "Name an .onnx file of vs_temporalfix with its folder.", path=path
            )
        self.path, self.sha256 = path, compute_sha256(path)
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
        providers = [name for name in wanted if name in runtime.get_available_providers()]
        try:
            self._session: Any = runtime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime raises its own types, by what is damaged
            raise ModelDamaged(f"{path} is no ONNX file that can be run.", "Get the file again.", path=path) from error
        (first, *more), (last, *others) = self._session.get_inputs(), self._session.get_outputs()
        channels = first.shape[1] if len(first.shape) == 4 else 0
        if more or others or not isinstance(channels, int) or channels % (2 * _CHANNELS) != _CHANNELS or last.shape[1:2] != [3]:
            raise UnsupportedModel(
                f"{path} maps {first.shape} to {last.shape}, not an odd number of frames to one.",
                "Choose an .onnx file of vs_temporalfix.",
                path=path,
            )
        self.frame_count = channels // _CHANNELS
        self._name, self._dtype = first.name, np.float16 if "float16" in first.type else np.float32

    def run(self, frames: Sequence[Floats]) -> Floats:
        """Return the steady frame (H, W, 3) in the middle of ``frame_count`` frames (H, W, 3) in 0..1."""
        height, width, _ = frames[0].shape
        planes = np.concatenate(frames, axis=2).transpose(2, 0, 1)
        planes = np.pad(planes, ((0, 0), (0, -height % _MULTIPLE), (0, -width % _MULTIPLE)), "edge")
        (result,) = self._session.run(None, {self._name: planes[None].astype(self._dtype)})
        return np.ascontiguousarray(result[0, :, :height, :width].transpose(1, 2, 0).astype(np.float32).clip(0, 1))
