"""Real engines by the real TensorRT for RTX, which builds without a GPU; and what becomes of those that are not right."""

import importlib.util
import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from spandrel import MAIN_REGISTRY
from spandrel.architectures.ESRGAN import ESRGAN
from upscale8k.runtime.errors import ModelDamaged, ModelNotFound, UnsupportedModel, WorkflowError
from upscale8k.runtime.models.onnx_export import export_onnx, hash_graph
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.trt import get_or_build as obtaining
from upscale8k.runtime.trt.build import PROGRESS_TOTAL, BuildProgress, BuildRequest, build_engine
from upscale8k.runtime.trt.engine_info import (
    GraphStamp,
    get_info_path,
    list_differences,
    make_profile_for_tile,
    read_engine_info,
    write_engine,
)
from upscale8k.runtime.trt.engine_source import make_source_from_model, make_source_from_onnx
from upscale8k.runtime.trt.get_or_build import get_or_build_engine, make_engine_info
from upscale8k.runtime.trt.target_gpu import TensorRTPackage, find_tensorrt, resolve_target_gpu

from ..told import Told

pytest.importorskip("onnx", reason="needs: pip install onnx")
HERE = importlib.util.find_spec("tensorrt_rtx") is not None
real = pytest.mark.skipif(not HERE, reason="TensorRT for RTX is not installed: pip install tensorrt-rtx")


@pytest.fixture
def rtx() -> TensorRTPackage:
    return find_tensorrt("tensorrt_rtx")


@pytest.fixture
def watch() -> Told:
    return Told()


def engine(source: Any, flavour: TensorRTPackage, watch: Told, target: str = "sm_89", path: Path | None = None) -> Any:
    return get_or_build_engine(
        source, resolve_target_gpu(target, flavour), flavour, 0, path, lambda total, unit: nullcontext(watch)
    )


@real
@pytest.mark.parametrize(
    ("name", "least", "most", "side"),
    [
        ("realesr-animevideov3", 1.2e6, 5e6, 548),  # 0.6 million weights of two bytes are in it
        pytest.param("realesrgan-x4plus", 33e6, 60e6, 640, marks=pytest.mark.full),  # 16.7 million
    ],
)
def test_real_weights_become_an_engine_once(
    name: str, least: float, most: float, side: int, rtx: TensorRTPackage, watch: Told
) -> None:
    """In half precision, for a GeForce RTX 40; the second time it is there."""
    from upscale8k.runtime.models.load import hash_weights, load_model
    from upscale8k.runtime.models.locate import find_model

    model = UpscaleModel.from_descriptor(load_model(find_model(name, ())))
    source = make_source_from_model(model, hash_weights(model.descriptor), 512, half=True, fixed=False)
    found = engine(source, rtx, watch)
    assert found.is_new
    assert 0 < watch.done <= PROGRESS_TOTAL
    assert least < found.path.stat().st_size < most
    facts = json.loads(get_info_path(found.path).read_text())
    assert facts["weights"] == model.provenance.sha256
    assert (facts["precision"], facts["target"], facts["version"]) == ("fp16", "sm_89", rtx.version)
    assert (facts["least"], facts["best"], facts["most"]) == ([32, 32], [side, side], [side, side])
    before = found.path.stat().st_mtime_ns
    again = engine(replace(source, make_onnx=lambda: pytest.fail("exported again")), rtx, watch)
    assert (again.path, again.is_new, again.path.stat().st_mtime_ns) == (found.path, False, before)


@real
@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("fixed", [True, False])
def test_a_small_engine_of_every_kind(half: bool, fixed: bool, small: UpscaleModel, rtx: TensorRTPackage, watch: Told) -> None:
    found = engine(make_source_from_model(small, "00" * 32, 64, half=half, fixed=fixed), rtx, watch, "sm_86,sm_120")
    assert found.is_new
    assert found.info.target == "sm_86,sm_120"
    assert (found.info.shape_profile.min == found.info.shape_profile.max) == fixed
    assert found.info.precision == ("fp16" if half else "fp32")


@real
def test_a_dense_network_becomes_an_engine(rtx: TensorRTPackage, watch: Told) -> None:
    """As Real-ESRGAN x4plus is, with one block of few channels."""
    descriptor = MAIN_REGISTRY.load(ESRGAN(num_blocks=1, num_filters=8, scale=4).state_dict())
    source = make_source_from_model(UpscaleModel.from_descriptor(descriptor.eval()), "00" * 32, 64, half=True, fixed=False)
    assert engine(source, rtx, watch).is_new


@real
def test_an_engine_that_is_not_the_right_one_is_built_anew_and_that_is_said(
    small: UpscaleModel, rtx: TensorRTPackage, watch: Told, tmp_path: Path
) -> None:
    source, path = make_source_from_model(small, "00" * 32, 64, half=True, fixed=False), tmp_path / "own" / "x.trt"
    good = engine(source, rtx, watch, path=path)
    assert good.is_new
    assert watch.sentences == []
    assert not engine(source, rtx, watch, path=path).is_new
    path.write_bytes(path.read_bytes()[:-1])
    assert engine(source, rtx, watch, path=path).is_new
    assert "its file is damaged" in watch.sentences[-1]
    write_engine(path, path.read_bytes(), replace(good.info, version="1.0.0"), GraphStamp("00", ""))
    assert engine(source, rtx, watch, path=path).is_new
    assert "another version of TensorRT" in watch.sentences[-1]
    assert engine(source, rtx, watch, "sm_120", path=path).is_new
    assert "another GPU" in watch.sentences[-1]
    assert read_engine_info(path).target == "sm_120"


@real
def test_stopping_a_build_stops_it_and_leaves_nothing(small: UpscaleModel, rtx: TensorRTPackage, tmp_path: Path) -> None:
    class Impatient(Told):
        def advance(self, steps: int = 1) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine(make_source_from_model(small, "00" * 32, 64, half=True, fixed=False), rtx, Impatient(), path=tmp_path / "x.trt")
    assert list(tmp_path.glob("*.trt*")) == []


@real
def test_bytes_that_are_no_graph_are_refused_by_the_builder_too(rtx: TensorRTPackage) -> None:
    order = BuildRequest(b"no graph", make_profile_for_tile(64, 4, 1, fixed=False), resolve_target_gpu("sm_89", rtx))
    with pytest.raises((ModelDamaged, UnsupportedModel)) as caught:
        build_engine(order, rtx, lambda steps: None)
    assert caught.value.hint


@real
def test_an_onnx_file_becomes_an_engine_as_it_is(
    small: UpscaleModel, rtx: TensorRTPackage, watch: Told, tmp_path: Path
) -> None:
    path = tmp_path / "small.onnx"
    path.write_bytes(export_onnx(small, half=True).content)
    source = make_source_from_onnx(path, 64, fixed=False)
    assert (source.precision, source.scale, source.shape_profile.max) == ("fp16", 2, (64 + 2 * small.halo,) * 2)
    assert engine(source, rtx, watch).is_new
    path.write_bytes(export_onnx(small, size=(96, 80)).content)
    assert make_source_from_onnx(path, 512, fixed=False).shape_profile.max == (96, 80)


@pytest.mark.parametrize("content", [b"", b"<!doctype html>", b"\x08\x07", b"PK\x03\x04"])
def test_a_file_that_is_no_onnx_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelDamaged, match=r"model\.onnx is not an ONNX file") as caught:
        make_source_from_onnx(path, 64, fixed=False)
    assert "export" in caught.value.hint
    with pytest.raises(ModelNotFound, match="cannot be read"):
        make_source_from_onnx(tmp_path / "none.onnx", 64, fixed=False)


def test_an_onnx_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "words",
        [value("x", TensorProto.FLOAT, [1, 768])],
        [value("y", TensorProto.FLOAT, [1, 768])],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "words.onnx")
    with pytest.raises(UnsupportedModel, match="does not take one image"):
        make_source_from_onnx(tmp_path / "words.onnx", 64, fixed=False)


def test_half_precision_is_not_built_for_a_model_that_overflows_in_it(small: UpscaleModel) -> None:
    with pytest.raises(WorkflowError, match="overflows"):
        make_source_from_model(replace(small, half_safe=False), "00", 64, half=True, fixed=False)


def test_a_graph_is_made_only_when_it_is_needed(
    small: UpscaleModel, flavour: Callable[..., TensorRTPackage], watch: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bytes] = []
    monkeypatch.setattr(obtaining, "build_engine", lambda order, flavour, advance: made.append(order.onnx_bytes) or b"engine")
    monkeypatch.setattr(obtaining, "hash_graph", bytes.hex)
    source = replace(make_source_from_model(small, "00", 64, half=True, fixed=False), make_onnx=lambda: b"graph")
    first = engine(source, flavour(), watch)
    assert not engine(source, flavour(), watch).is_new
    assert engine(source, flavour(version="1.2.4"), watch).path != first.path
    assert made == [b"graph", b"graph"]
    assert list_differences(first.path, make_engine_info(source, resolve_target_gpu("sm_120", flavour()), flavour(), 0)) == [
        "another GPU"
    ]


def test_an_engine_of_another_exporter_is_kept_while_the_graph_is_the_same(
    small: UpscaleModel, flavour: Callable[..., TensorRTPackage], watch: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two releases of the exporter, and engines from before there were stamps."""
    monkeypatch.setattr(obtaining, "build_engine", lambda order, flavour, advance: b"engine")
    made = make_source_from_model(small, "00", 64, half=True, fixed=False)
    first = engine(made, flavour(), watch)
    assert not engine(replace(made, make_onnx=lambda: pytest.fail("exported again")), flavour(), watch).is_new
    newer = replace(made, exporter="newer")
    assert not engine(newer, flavour(), watch).is_new  # exported, and the same
    assert not engine(replace(newer, make_onnx=lambda: pytest.fail("exported again")), flavour(), watch).is_new
    other = replace(made, exporter="newest", make_onnx=lambda: export_onnx(small, half=False).content)
    assert engine(other, flavour(), watch).is_new
    assert watch.sentences == [f"Building the engine {first.path.name} again: another ONNX graph."]
    facts = json.loads(get_info_path(first.path).read_text())
    get_info_path(first.path).write_text(json.dumps({name: facts[name] for name in facts if name not in ("graph", "exporter")}))
    assert not engine(made, flavour(), watch).is_new
    assert json.loads(get_info_path(first.path).read_text())["graph"] == hash_graph(made.make_onnx())


def test_the_hash_of_a_graph_follows_what_it_computes_and_not_its_names(small: UpscaleModel) -> None:
    import onnx

    content = export_onnx(small).content
    model = onnx.load_from_string(content)
    for node in model.graph.node:
        node.name = f"other {node.name}"
        for names in (node.input, node.output):
            names[:] = [name if name in ("input", "output", "") else f"other {name}" for name in names]
    for weight in model.graph.initializer:
        weight.name = f"other {weight.name}"
    model.producer_version = "9.9"
    assert hash_graph(model.SerializeToString()) == hash_graph(content)
    model.graph.node[-1].op_type = "Relu"
    assert hash_graph(model.SerializeToString()) != hash_graph(content)
    assert hash_graph(export_onnx(small, size=(64, 64)).content) != hash_graph(content)


def test_the_graph_of_engines_without_a_stamp_is_still_exported(small: UpscaleModel) -> None:
    """If this fails, engines without a stamp are no longer what would be built now: ``_has_other_graph`` must reject them."""
    import onnx

    graph = onnx.load_from_string(export_onnx(small, half=True).content).graph
    expected = "Conv PRelu Conv PRelu Conv PRelu Conv DepthToSpace Resize Add Clip"
    assert [node.op_type for node in graph.node if node.op_type not in ("Constant", "Identity")] == expected.split()


def test_phases_inside_phases_become_one_number_that_only_grows() -> None:
    seen: list[int] = []
    progress = BuildProgress(seen.append)
    progress.start_phase("build", None, 2)
    progress.start_phase("layers", "build", 4)
    for step in range(4):
        progress.complete_step("layers", step)
    progress.finish_phase("layers")
    progress.complete_step("build", 0)
    assert sum(seen) == PROGRESS_TOTAL // 2
    progress.complete_step("build", 1)
    progress.finish_phase("build")
    assert sum(seen) == PROGRESS_TOTAL
    assert min(seen) > 0
