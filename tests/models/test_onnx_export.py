"""ONNX files: checked by onnx, run by onnxruntime against torch, and honest about what they hold."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from spandrel import MAIN_REGISTRY
from spandrel.architectures.Compact import Compact
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.SwinIR import SwinIR
from upscale8k.runtime.errors import HardwareMissing, OutputError, UnsupportedModel, WorkflowError
from upscale8k.runtime.models import onnx_export
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model
from upscale8k.runtime.models.onnx_export import OnnxExport, export_onnx, measure_difference, write_onnx
from upscale8k.runtime.models.upscale_model import UpscaleModel

onnx = pytest.importorskip("onnx", reason="needs: pip install onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs: pip install onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")


def recognised(net: torch.nn.Module) -> UpscaleModel:
    return UpscaleModel.from_descriptor(
        MAIN_REGISTRY.load({key: value.clone() for key, value in net.state_dict().items()}).eval()
    )


@pytest.fixture(scope="module")
def anime() -> UpscaleModel:
    return UpscaleModel.from_descriptor(load_model(find_model("realesr-animevideov3", ())))


@pytest.fixture(scope="module")
def unshuffled() -> UpscaleModel:
    torch.manual_seed(8)
    return recognised(ESRGAN(in_nc=12, num_blocks=1, num_filters=8, scale=4, shuffle_factor=2))


@pytest.fixture(scope="module")
def swinir() -> UpscaleModel:
    torch.manual_seed(8)
    net = SwinIR(
        img_size=16, window_size=8, depths=[2, 2], embed_dim=12, num_heads=[2, 2], upscale=2, upsampler="pixelshuffledirect"
    )
    return recognised(net)


def axes(path: Path) -> list[Any]:
    shape = onnx.load(path).graph.input[0].type.tensor_type.shape.dim
    return [axis.dim_param or axis.dim_value for axis in shape]


def test_a_file_for_any_size_is_what_torch_is(anime: UpscaleModel, tmp_path: Path) -> None:
    assert write_onnx(tmp_path / "a.onnx", export_onnx(anime), anime) <= 1e-5
    assert axes(tmp_path / "a.onnx") == ["n", 3, "h", "w"]
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])
    image = np.random.default_rng(8).random((2, 3, 21, 34), dtype=np.float32)
    (result,) = session.run(None, {"input": image})
    np.testing.assert_allclose(result, anime.descriptor(torch.from_numpy(image)).numpy(), rtol=0, atol=1e-4)


def test_half_precision_is_half_all_through(anime: UpscaleModel, tmp_path: Path) -> None:
    assert write_onnx(tmp_path / "h.onnx", export_onnx(anime, half=True), anime) <= 2e-2
    graph = onnx.load(tmp_path / "h.onnx").graph
    half = onnx.TensorProto.FLOAT16
    assert {value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)} == {half}
    assert {weight.data_type for weight in graph.initializer if len(weight.dims) == 4} == {half}


def test_the_file_says_where_it_came_from(anime: UpscaleModel, tmp_path: Path) -> None:
    write_onnx(tmp_path / "a.onnx", export_onnx(anime), anime)
    noted = {entry.key: entry.value for entry in onnx.load(tmp_path / "a.onnx").metadata_props}
    assert noted["upscale8k.weights_sha256"] == anime.provenance.sha256
    assert (noted["upscale8k.scale"], noted["upscale8k.halo"], noted["upscale8k.licence"]) == ("4", "18", "BSD-3-Clause")


def test_an_odd_factor_stays_outside_of_the_graph(unshuffled: UpscaleModel, tmp_path: Path) -> None:
    assert write_onnx(tmp_path / "x2.onnx", export_onnx(unshuffled), unshuffled) <= 1e-4
    with pytest.raises(WorkflowError, match="multiples of 4"):
        export_onnx(unshuffled, size=(33, 40))


def test_a_network_in_windows_gets_one_size(swinir: UpscaleModel, tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match="one tile size only") as caught:
        export_onnx(swinir)
    assert "--tile" in caught.value.hint
    assert write_onnx(tmp_path / "s.onnx", export_onnx(swinir, size=(24, 40)), swinir) <= 1e-4
    assert axes(tmp_path / "s.onnx") == [1, 3, 24, 40]


def test_a_frozen_graph_that_claims_to_be_open_is_found_out(
    swinir: UpscaleModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exporter declares SwinIR's axes open and writes the example's size into its reshapes."""
    monkeypatch.setattr(onnx_export, "ANY_SIZE", ("SwinIR",))
    with pytest.raises(Exception, match=r"differs from torch|Reshape|wrote the size|shape"):
        write_onnx(tmp_path / "s.onnx", export_onnx(swinir), swinir)
    assert not list(tmp_path.iterdir())


def test_closed_axes_are_found_out(anime: UpscaleModel, tmp_path: Path) -> None:
    fixed = export_onnx(anime, size=(32, 48))
    with pytest.raises(UnsupportedModel, match="wrote the size 48x32"):
        write_onnx(tmp_path / "a.onnx", dataclasses.replace(fixed, size=None), anime)


def test_a_graph_that_computes_something_else_is_not_written(anime: UpscaleModel, tmp_path: Path) -> None:
    torch.manual_seed(9)
    other = recognised(Compact(num_feat=8, num_conv=2, upscale=4))
    with pytest.raises(UnsupportedModel, match="nothing was written"):
        write_onnx(tmp_path / "a.onnx", export_onnx(other), anime)
    assert not list(tmp_path.iterdir())


def test_a_network_that_cannot_be_exported_is_a_sentence(anime: UpscaleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("Exporting the operator 'aten::roll' is not supported\nlong story")

    monkeypatch.setattr(torch.onnx, "export", fails)
    with pytest.raises(UnsupportedModel, match=r"Compact network to ONNX: Exporting .*is not supported\."):
        export_onnx(anime)


def test_the_value_on_the_wire_is_left_as_it_was(anime: UpscaleModel) -> None:
    weight = next(anime.descriptor.model.parameters())
    before = weight.detach().clone()
    export_onnx(anime, half=True)
    assert weight.dtype == torch.float32
    assert torch.equal(weight, before)


def test_what_is_missing_is_named(anime: UpscaleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None)
    with pytest.raises(HardwareMissing, match="package onnx") as caught:
        export_onnx(anime)
    assert "pip install onnx" in caught.value.hint


def test_without_onnxruntime_a_file_cannot_be_checked(anime: UpscaleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(onnx_export, "import_module", missing)
    with pytest.raises(HardwareMissing, match="needs onnxruntime"):
        measure_difference(OnnxExport(b"", None, half=False), anime)


def test_half_precision_of_a_model_that_overflows_is_refused(anime: UpscaleModel) -> None:
    with pytest.raises(WorkflowError, match="overflows"):
        export_onnx(dataclasses.replace(anime, half_safe=False), half=True)


def test_a_place_that_cannot_be_written_leaves_nothing(anime: UpscaleModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_onnx(tmp_path / "file" / "a.onnx", export_onnx(anime), anime)
