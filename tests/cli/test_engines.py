"""``trt-build`` and ``export``, from the command line's point of view."""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from upscale8k.runtime.cli import main
from upscale8k.runtime.cli.load_workflow import _add_engines
from upscale8k.runtime.hardware.gpu import Gpu
from upscale8k.runtime.hardware.nvidia import NvidiaDriver
from upscale8k.runtime.trt import get_or_build, target_gpu
from upscale8k.runtime.trt.build import BuildRequest
from upscale8k.runtime.trt.engine_info import read_engine_info
from upscale8k.runtime.trt.target_gpu import TargetGpu, TensorRTPackage
from upscale8k.runtime.upscale.backends import tensorrt

from .conftest import Place, pixels_of

onnx = pytest.importorskip("onnx", reason="needs: pip install onnx")
pytest.importorskip("onnxruntime", reason="needs: pip install onnxruntime")
MODEL = ("-m", "realesr-animevideov3")  # the smallest; an export of the default model takes half a minute
real = pytest.mark.skipif(importlib.util.find_spec("tensorrt_rtx") is None, reason="needs: pip install tensorrt-rtx")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "cache"))


def test_a_model_becomes_an_onnx_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.onnx"
    assert main(["export", "realesr-animevideov3", "-o", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == str(out)
    assert "differs from torch" in captured.err
    onnx.checker.check_model(onnx.load(out))


@real
def test_an_engine_is_built_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.trt"
    command = ["trt-build", "realesr-animevideov3", "-o", str(out), "--fp16", "--tile", "128", "--target", "sm_89"]
    assert main([*command, "--progress", "none"]) == 0
    first = capsys.readouterr()
    assert first.out.strip() == str(out)
    assert "Built." in first.err
    assert out.stat().st_size > 1_000_000  # 0.6 million weights of two bytes
    assert main([*command, "--progress", "none"]) == 0
    assert "up to date" in capsys.readouterr().err


@real
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["realesr-animevideov3", "--target", "sm_90"], "does not build for sm_90"),
        (["realesr-animevideov3", "--target", "sm_89", "--tile", "8"], "too small"),
        (["no-such-model", "--target", "sm_89"], "No weights"),
        (["none.onnx", "--target", "sm_89"], "none.onnx cannot be read"),
        (["page.onnx", "--target", "sm_89"], "page.onnx is not an ONNX file"),
        (["page.onnx", "--fp16", "--target", "sm_89"], "runtime export MODEL --fp16"),
    ],
)
def test_what_cannot_be_built_is_a_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("page.onnx").write_text("<!doctype html>")
    assert main(["trt-build", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_the_shipped_workflow_says_what_is_missing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)
    workflow = str(root / "workflows" / "video_8k_trt.json")
    assert main(["run", workflow, "--progress", "none", "--output-dir", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Error: node 4 (TRTBuild")
    assert "pip install tensorrt-rtx onnx" in said
    assert "turn on fallback" in said
    assert list(tmp_path.rglob("*.mp4*")) == []


class Repeating:
    """An engine of the made-up GPU: it repeats pixels four times, as the model's first input does."""

    def __init__(self, path: Path) -> None:
        info = read_engine_info(path)
        assert info
        self.info = info

    def run(self, planes: torch.Tensor) -> torch.Tensor:
        return planes.half().repeat_interleave(4, 2).repeat_interleave(4, 3)

    def close(self) -> None:
        pass


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> list[BuildRequest]:
    """A GPU and a TensorRT that are not here: what is asked of the builder."""
    requests: list[BuildRequest] = []

    def build(request: BuildRequest, package: TensorRTPackage, advance: object) -> bytes:
        requests.append(request)
        return b"engine"

    package = TensorRTPackage("tensorrt_rtx", "1.2.3", SimpleNamespace())
    monkeypatch.setattr(get_or_build, "build_engine", build)
    monkeypatch.setattr(
        get_or_build, "find_builder", lambda requested, gpu: (package, TargetGpu(("sm_89",), "RTX 4090", "580"))
    )
    monkeypatch.setattr(tensorrt, "_open_session", lambda engine, device, warnings: Repeating(engine.path))
    return requests


@pytest.mark.parametrize("option", [("--engine", "auto"), ("--backend", "tensorrt"), ("--engine", "own/x.trt")])
def test_one_command_builds_an_engine_and_uses_it_again(
    option: tuple[str, str], place: Place, card: list[BuildRequest], tmp_path: Path
) -> None:
    Path("own").mkdir()
    settings = (*MODEL, *option, "--to", "4x", "--tile", "128", "--progress", "none")
    command = ("upscale", "input/a.png", "-o", "output/b.png", *settings)
    for _ in range(2):
        answer = place(*command)
        assert (answer.code, answer.out) == (0, "output/b.png\n"), answer.err
    (request,) = card
    assert request.shape_profile.tile == 128
    engines = list((tmp_path / "cache" / "engines").glob("*.trt")) or list(Path("own").glob("x.trt"))
    assert [path.read_bytes() for path in engines] == [b"engine"]
    assert (option[1] == "own/x.trt") == Path("own/x.trt").exists()
    before, after = pixels_of("input/a.png"), pixels_of("output/b.png")
    assert np.array_equal(after, before.repeat(4, axis=0).repeat(4, axis=1))


def test_run_adds_an_engine_to_the_shipped_workflow_and_none_where_there_is_one(place: Place, card: list[BuildRequest]) -> None:
    shipped = Path(__file__).parents[2] / "workflows" / "image_any.json"
    settings = ("ImageIn.image=a.png", "ImageOut.filename=c.png", "TiledUpscale.target=4x", f"UpscaleModel.model={MODEL[1]}")
    sets = [word for setting in settings for word in ("--set", setting)]
    assert place("run", shipped, *sets, "--backend", "tensorrt", "--progress", "none").code == 0
    assert [request.shape_profile.tile for request in card] == [512]
    prompt = {"m": {"class_type": "UpscaleModel", "inputs": {}}, "t": {"class_type": "TRTBuild", "inputs": {}}}
    upscaler = {"class_type": "TiledUpscale", "inputs": {"upscale_model": ["t", 0]}}
    assert _add_engines({**prompt, "u": upscaler}, "") == {**prompt, "u": upscaler}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--engine", "x.onnx"), "is not the name of an engine"),
        (("--engine", "auto", "--backend", "torch"), "runs on the backend tensorrt, not on torch"),
    ],
)
def test_options_that_do_not_go_together_are_a_sentence(options: tuple[str, ...], words: str, place: Place) -> None:
    answer = place("upscale", "input/a.png", "-o", "output/b.png", *options)
    assert answer.code == 2
    assert words in answer.err
    assert answer.new == []


@real
@pytest.mark.parametrize(
    ("driver", "words"),
    [
        ("none", "This machine has no NVIDIA GPU to build an engine for."),
        ("broken", "The NVIDIA driver is installed but not running. Restart the computer"),
        ("other vendor", "This machine has no NVIDIA GPU to build an engine for."),
        ("old card", "does not build for sm_61 (GTX 1080)"),
    ],
)
def test_a_machine_that_cannot_run_engines_says_why_before_it_works(
    driver: str, words: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {
        "none": NvidiaDriver(),
        "broken": NvidiaDriver(
            problem="The NVIDIA driver is installed but not running. Restart the computer, or load the kernel module."
        ),
        "other vendor": NvidiaDriver(gpus=(Gpu(kind="rocm", index=0, name="RX 7900", total=1, free=1, usable=False),)),
        "old card": NvidiaDriver(
            gpus=(Gpu(kind="cuda", index=0, name="GTX 1080", total=1, free=1, compute_capability=(6, 1)),), driver="580"
        ),
    }[driver]
    monkeypatch.setattr(target_gpu, "query_nvidia", lambda: found)
    answer = place("upscale", "input/a.png", "-o", "output/b.png", "--engine", "auto", "--progress", "none")
    assert answer.code == 1
    assert not any(name.startswith("output") for name in answer.new)
    assert words in answer.err
    assert "Traceback" not in answer.err
