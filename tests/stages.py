"""Every stage of a video, as inputs of nodes, and small files for it: clips, networks of random weights, a mean as ONNX."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from skimage import data

RATE = 6
Inputs = dict[str, dict[str, Any]]
UPSCALE, MODEL, READ = "TiledUpscaleVideo", "UpscaleModel", "VideoIn"
BASE: Inputs = {MODEL: {"model": "double.pth"}, UPSCALE: {"target": "model scale"}}
STAGES: dict[str, Inputs] = {
    "strength": {UPSCALE: {"strength": 0.7}},
    "grain": {UPSCALE: {"grain": 0.5}},
    "second model": {MODEL: {"second_model": "other.pth", "second_weight": 0.4}},
    "steady": {UPSCALE: {"steady": 1.0}},
    "steady network": {UPSCALE: {"steady": 0.8, "steady_network": "mean.onnx"}},
    "chain": {MODEL: {"model": "restore.pth,double.pth"}},
    "tta": {MODEL: {"ensemble": True}},
    "telecine": {READ: {"video": "telecine.mkv", "deinterlace": "telecine"}},
    "double rate": {READ: {"video": "interlaced.mkv", "deinterlace": "bwdif double rate"}},
    "borders": {UPSCALE: {"skip_borders": True}},
    "frame rate before": {UPSCALE: {"frame_rate": "5/2x"}},
    "frame rate after": {UPSCALE: {"frame_rate": "2x", "interpolate": "after"}},
    "all together": {
        MODEL: {"model": "restore.pth,double.pth"},
        UPSCALE: {"strength": 0.7, "grain": 0.5, "steady": 1.0, "skip_borders": True, "frame_rate": "2x"},
    },
}


def merge(*parts: Inputs) -> Inputs:
    """Later parts win."""
    return {
        node: {name: value for part in parts for name, value in part.get(node, {}).items()} for node in (MODEL, UPSCALE, READ)
    }


def write_models(folder: Path) -> None:
    """``double`` and ``other`` enlarge by 2, ``restore`` by 1; ``mean.onnx`` steadies and ``flownet.pkl`` interpolates."""
    from .upscale.temporal.test_interpolate import write_network
    from .upscale.temporal.test_steady_network import write_mean
    from .upscale.test_chain import make

    for name, seed, scale in (("double", 1, 2), ("other", 2, 2), ("restore", 3, 1)):
        torch.save(make("compact", seed, upscale=scale).model.state_dict(), folder / f"{name}.pth")
    write_mean(folder / "mean.onnx")
    write_network(folder / "flownet.pkl")


def write_clips(folder: Path, frames: int = 3 * RATE) -> None:
    """A pan with noise, a cut, a repeated frame and black borders, progressive, telecined and interlaced; 80x64."""
    images = make_pan(frames)
    write_clip(folder / "clip.mkv", images)
    pairs = [(0, 0), (0, 1), (1, 2), (2, 3), (3, 3)]  # fields of four frames in five
    woven = [(4 * group + top, 4 * group + bottom) for group in range(frames // 4) for top, bottom in pairs]
    write_clip(folder / "telecine.mkv", [weave(images[top], images[bottom]) for top, bottom in woven], "tff=1")
    write_clip(folder / "interlaced.mkv", [weave(*pair) for pair in pairwise(images)], "tff=1")


def make_pan(frames: int) -> list[np.ndarray]:
    noise = np.random.default_rng(2)
    images: list[np.ndarray] = []
    for index in range(frames):
        scene = data.astronaut() if index < frames // 2 else data.coffee()[:, ::-1]
        image = scene[120 : 120 + 48, 100 + 2 * index : 180 + 2 * index].astype(np.int16)
        image = np.pad(image + noise.integers(-4, 5, image.shape), ((8, 8), (0, 0), (0, 0)))
        images.append(images[-1] if index == 4 else image.clip(0, 255).astype(np.uint8))
    return images


def weave(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    image = top.copy()
    image[1::2] = bottom[1::2]
    return image


def write_clip(path: Path, images: list[np.ndarray], parameters: str = "") -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "10", "x264-params": parameters})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
