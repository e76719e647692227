"""``trt-build`` and ``export``, from the command line's point of view."""

import importlib.util
import sys
from pathlib import Path

import pytest
from upscale8k.runtime.cli import main

onnx = pytest.importorskip("onnx", reason="needs: pip install onnx")
pytest.importorskip("onnxruntime", reason="needs: pip install onnxruntime")
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
    assert main(["run", workflow, "--progress", "none", "--output-dir", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: node 4 (TRTBuild")
    assert "pip install tensorrt-rtx onnx" in said
    assert "turn on fallback" in said
    assert list(tmp_path.rglob("*.mp4*")) == []
