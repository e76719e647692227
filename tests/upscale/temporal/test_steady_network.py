"""A network behind ``steady``: one that averages seven frames, so that each result can be told by arithmetic."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data
from upscale8k.runtime.errors import ModelDamaged, ModelNotFound, UnsupportedModel
from upscale8k.runtime.images.sample_conversion import to_floats
from upscale8k.runtime.upscale.temporal.steady import steady_video
from upscale8k.runtime.upscale.temporal.steady_network import SteadyNetwork

from ..test_video import make_stream

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def write_mean(path: Path, frames: int = 7, *, half: bool = True) -> Path:
    """A network of the layout of vs_temporalfix: a 1x1 convolution that averages each color over the frames."""
    kind, dtype = (onnx.TensorProto.FLOAT16, np.float16) if half else (onnx.TensorProto.FLOAT, np.float32)
    weight = np.concatenate([np.eye(3)] * frames, axis=1)[:, :, None, None] / frames
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["x", "w"], ["y"])],
        "mean",
        [onnx.helper.make_tensor_value_info("x", kind, [1, 3 * frames, "h", "w0"])],
        [onnx.helper.make_tensor_value_info("y", kind, [1, 3, "h", "w0"])],
        [onnx.numpy_helper.from_array(weight.astype(dtype), "w")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


TEXTURE = np.random.default_rng(4).integers(0, 60, (34, 50, 3)).astype(np.uint8)
SCENES = [TEXTURE + np.uint8(40 + index) for index in range(6)]
SCENES += [np.random.default_rng(5).integers(100, 250, (34, 50, 3)).astype(np.uint8) for _ in range(1)] * 3


def run(path: Path, strength: float, first: int = 0) -> list[np.ndarray]:
    with steady_video(make_stream(SCENES), strength, SteadyNetwork(path)).frames(first) as frames:
        return [to_floats(frame.pixels) * 255 for frame in frames]


def test_each_frame_is_the_network_of_its_window_within_its_scene(tmp_path: Path) -> None:
    found = run(write_mean(tmp_path / "mean.onnx", half=False), 1.0)
    for index in range(6):  # the last frame of a scene stands for those beyond its end
        wanted = np.mean([SCENES[min(max(index + step, 0), 5)] for step in range(-3, 4)], axis=0)
        np.testing.assert_allclose(found[index], wanted, atol=0.02)
    for index in range(6, 9):
        np.testing.assert_allclose(found[index], SCENES[6], atol=0.02)


def test_strength_is_the_share_of_the_network_and_half_precision_works(tmp_path: Path) -> None:
    path = write_mean(tmp_path / "mean.onnx")
    for whole, half, own in zip(run(path, 1.0), run(path, 0.5), SCENES, strict=True):
        np.testing.assert_allclose(half, (whole + own) / 2, atol=0.02)
    assert np.abs(run(path, 1.0)[0] - run(write_mean(tmp_path / "full.onnx", half=False), 1.0)[0]).max() < 0.3


def test_frames_are_the_same_from_any_start_and_files_have_identities(tmp_path: Path) -> None:
    path = write_mean(tmp_path / "mean.onnx")
    whole = run(path, 0.7)
    for first in (1, 4, 7):
        for one, other in zip(run(path, 0.7, first), whole[first:], strict=True):
            np.testing.assert_array_equal(one, other)
    other = write_mean(tmp_path / "other.onnx", 5)
    networks = [None, SteadyNetwork(path), SteadyNetwork(other)]
    assert len({steady_video(make_stream(SCENES), 0.7, network).info.identity for network in networks}) == 3


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"no network .*absent\.onnx"):
        SteadyNetwork(tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(ModelDamaged, match=r"text\.onnx is no ONNX file"):
        SteadyNetwork(tmp_path / "text.onnx")
    with pytest.raises(UnsupportedModel, match="not an odd number of frames"):
        SteadyNetwork(write_mean(tmp_path / "even.onnx", 2))
    with pytest.raises(UnsupportedModel, match="takes 9 frames"):
        steady_video(make_stream(SCENES), 1.0, SteadyNetwork(write_mean(tmp_path / "nine.onnx", 9)))


REAL = sorted(Path(os.environ.get("UPSCALE8K_TEMPORALFIX", "/absent")).glob("temporalfix_s[123]*.onnx"))


@pytest.mark.full
@pytest.mark.skipif(not REAL, reason="UPSCALE8K_TEMPORALFIX names no folder with the files of vs_temporalfix")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_the_real_network_takes_60_percent_of_the_flicker_of_a_noisy_still(path: Path) -> None:
    still = cv2.GaussianBlur(data.astronaut()[:96, 150:278].astype(np.float32), (0, 0), 0.8) * 0.8 + 25
    rng = np.random.default_rng(11)
    images = [np.clip(np.rint(still + rng.normal(0, 3, still.shape)), 0, 255).astype(np.uint8) for _ in range(12)]
    with steady_video(make_stream(images), 1.0, SteadyNetwork(path)).frames() as frames:
        found = [to_floats(frame.pixels) * 255 for frame in frames]
    assert np.std(found[3:-3], axis=0).mean() < 0.4 * np.std(images[3:-3], axis=0).mean()
    assert np.abs(np.mean(found, axis=0) - np.mean(images, axis=0)).mean() < 1
