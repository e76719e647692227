"""ncnn itself is the judge: the same files, run by the ``ncnn`` package and as converted by us in torch."""

from pathlib import Path

import ncnn
import numpy as np
import pytest
import torch
from skimage import data
from spandrel import MAIN_REGISTRY
from upscale8k.runtime.errors import ModelDamaged, UnsupportedModel
from upscale8k.runtime.models.load import _load_uncached, load_model
from upscale8k.runtime.models.locate import FoundModel, find_model
from upscale8k.runtime.models.ncnn_files.ncnn import read_ncnn

from .conftest import DEPENDENCY_IDS

TOLERANCE = 1e-4


def run_ncnn(param: Path, weights: Path, image: np.ndarray) -> np.ndarray:
    """What ncnn makes of ``picture`` (3, H, W), in fp32 throughout."""
    net = ncnn.Net()
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage", "use_vulkan_compute"):
        setattr(net.opt, option, False)
    assert net.load_param(str(param)) == 0
    assert net.load_model(str(weights)) == 0
    extractor = net.create_extractor()
    kept = np.ascontiguousarray(image)  # an ncnn.Mat does not own its pixels
    extractor.input("data", ncnn.Mat(kept))
    _, result = extractor.extract("output")
    return np.array(result)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """A face and hair, (3, 48, 56) in 0..1."""
    return (data.astronaut()[90:138, 200:256].astype(np.float32) / 255).transpose(2, 0, 1)


@pytest.fixture
def animevideo(tmp_path: Path) -> tuple[Path, Path]:
    """A copy of the smallest real model, to be damaged."""
    source = find_model("realesr-animevideov3", []).path
    param, weights = tmp_path / "model.param", tmp_path / "model.bin"
    param.write_bytes(source.with_suffix(".param").read_bytes())
    weights.write_bytes(source.read_bytes())
    return param, weights


def test_the_cache_goes_by_both_files(animevideo: tuple[Path, Path]) -> None:
    param, weights = animevideo
    _load_uncached(FoundModel(weights.name, None, weights, "folder"))
    param.write_text("nothing")
    with pytest.raises(ModelDamaged):
        _load_uncached(FoundModel(weights.name, None, weights, "folder"))


@pytest.mark.parametrize("model", DEPENDENCY_IDS)
def test_converted_weights_give_what_ncnn_gives(model: str, image: np.ndarray) -> None:
    located = find_model(model, [])
    expected = run_ncnn(located.path.with_suffix(".param"), located.path, image)
    with torch.inference_mode():
        given = load_model(located).model(torch.from_numpy(image.copy())[None])[0].numpy()
    assert given.shape == expected.shape == (3, 192, 224)
    assert np.abs(given - expected).max() < TOLERANCE


def test_weights_in_fp32_are_read_too(tmp_path: Path, compact_state: dict[str, torch.Tensor], image: np.ndarray) -> None:
    """A file written by hand after ncnn's description of its format; that ncnn reads it is what makes it valid."""
    param, weights = tmp_path / "small.param", tmp_path / "small.bin"
    param.write_text(
        "7767517\n9 10\n"
        "Input        in    0 1 data\n"
        "Split        s     1 2 data d0 d1\n"
        "Convolution  c0    1 1 d0 a 0=4 1=3 4=1 5=1 6=108\n"
        "PReLU        p0    1 1 a b 0=4\n"
        "Convolution  c1    1 1 b c 0=12 1=3 11=3 4=1 5=1 6=432\n"
        "PReLU        p1    1 1 c d 0=12\n"
        "PixelShuffle ps    1 1 d e 0=2\n"
        "Interp       up    1 1 d1 f 0=1 1=2.0 2=2.0\n"
        "BinaryOp     add   2 1 e f output\n"
    )
    torch.manual_seed(1)
    state = {
        "body.0.weight": torch.randn(4, 3, 3, 3),
        "body.0.bias": torch.randn(4),
        "body.1.weight": torch.rand(4),
        "body.2.weight": torch.randn(12, 4, 3, 3),
        "body.2.bias": torch.randn(12),
        "body.3.weight": torch.rand(12),
    }
    flags = {"body.0.weight": bytes(4), "body.2.weight": bytes(4)}
    weights.write_bytes(b"".join(flags.get(key, b"") + tensor.numpy().tobytes() for key, tensor in state.items()))
    read = read_ncnn(param, weights)
    assert read.keys() == state.keys()
    assert all(torch.equal(read[key], state[key]) for key in state)
    assert run_ncnn(param, weights, image).shape == (3, 96, 112)


def test_the_key_names_are_the_official_ones() -> None:
    located = find_model("realesrgan-x4plus-anime", [])
    state = read_ncnn(located.path.with_suffix(".param"), located.path)
    # As in basicsr's RRDBNet with num_block=6: 6 * 3 * 5 dense convolutions and 6 around them, each with a bias.
    assert len(state) == 2 * (6 * 3 * 5 + 6)
    assert state["body.5.rdb3.conv5.weight"].shape == (64, 192, 3, 3)
    assert {
        "conv_first.weight",
        "conv_body.bias",
        "conv_up1.weight",
        "conv_up2.bias",
        "conv_hr.weight",
        "conv_last.bias",
    } <= set(state)
    assert all(tensor.dtype == torch.float32 for tensor in state.values())
    assert MAIN_REGISTRY.load(state).architecture.id == "ESRGAN"


@pytest.mark.parametrize("length", [0, 2, 4, 1000, 1_247_364])
def test_a_truncated_file_is_damaged(animevideo: tuple[Path, Path], length: int) -> None:
    param, weights = animevideo
    weights.write_bytes(weights.read_bytes()[:length])
    with pytest.raises(ModelDamaged, match=rf"model\.bin ends after {length} bytes"):
        read_ncnn(param, weights)


def test_extra_bytes_are_damage(animevideo: tuple[Path, Path]) -> None:
    param, weights = animevideo
    weights.write_bytes(weights.read_bytes() + b"\0" * 8)
    with pytest.raises(ModelDamaged, match="has 8 bytes more"):
        read_ncnn(param, weights)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("7767517", "7767518"),
        ("40 41", "41 41"),
        ("40 41", "many layers"),
        ("0=64 1=3", "0=64 1=x"),
        ("0=64 1=3", "0=63 1=3"),
        ("0=64 1=3", "0=-64 1=3"),
        ("0=64 1=3", "0=0 1=3"),
        ("6=36864", "6=999999999999"),
        ("Conv_0                   1 1", "Conv_0                   one 1"),
        ("7767517", "Ünïcode"),
    ],
)
def test_a_broken_description_is_damaged(animevideo: tuple[Path, Path], old: str, new: str) -> None:
    param, weights = animevideo
    param.write_text(param.read_text().replace(old, new), encoding="utf-8")
    with pytest.raises(ModelDamaged, match=r"model\."):
        read_ncnn(param, weights)


def test_an_empty_description_is_damaged(animevideo: tuple[Path, Path]) -> None:
    param, weights = animevideo
    param.write_bytes(b"")
    with pytest.raises(ModelDamaged, match="magic number"):
        read_ncnn(param, weights)


def test_another_way_to_store_weights_is_said_to_be_unsupported(animevideo: tuple[Path, Path]) -> None:
    param, weights = animevideo
    int8 = 0x000D4B38
    weights.write_bytes(int8.to_bytes(4, "little") + weights.read_bytes()[4:])
    with pytest.raises(UnsupportedModel, match="0x000d4b38"):
        read_ncnn(param, weights)


def test_another_kind_of_layer_is_said_to_be_unsupported(animevideo: tuple[Path, Path]) -> None:
    param, weights = animevideo
    param.write_text(param.read_text().replace("PReLU   ", "Deconvolution"))
    with pytest.raises(UnsupportedModel, match="Deconvolution"):
        read_ncnn(param, weights)


def test_another_network_of_the_same_layers_is_said_to_be_unsupported(tmp_path: Path) -> None:
    """RRDBNet's layers with another slope would give another image, not an error."""
    located = find_model("realesrgan-x4plus-anime", [])
    param = tmp_path / "steep.param"
    param.write_text(located.path.with_suffix(".param").read_text().replace("-23310=1,2.0", "-23310=1,1.0"))
    with pytest.raises(UnsupportedModel, match="neither SRVGGNetCompact nor RRDBNet"):
        read_ncnn(param, located.path)


def test_a_changed_description_is_not_answered_from_the_cache(animevideo: tuple[Path, Path]) -> None:
    param, weights = animevideo
    assert load_model(find_model("model.bin", [weights.parent])).scale == 4
    param.write_text(param.read_text() + "Input extra 0 1 extra\n")
    weights.touch()
    with pytest.raises(ModelDamaged, match="declares"):
        load_model(find_model("model.bin", [weights.parent]))
