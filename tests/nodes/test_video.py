"""A film through the three nodes, as a workflow runs them: what is written is what every frame becomes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from upscale8k.runtime.cli import main
from upscale8k.runtime.distributed import driver

ROOT = Path(__file__).resolve().parent.parent.parent
RNG = np.random.default_rng(5)
FRAMES = [RNG.integers(0, 256, (36, 64, 3), np.uint8) for _ in range(10)]


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder with clip.mkv: ten frames of noise without loss, at uneven times."""
    folder = tmp_path / "films"
    folder.mkdir()
    with av.open(str(folder / "clip.mkv"), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "bgr0"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, pixels in enumerate(FRAMES):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="bgr0")
            frame.pts, frame.time_base = index * 40 + index % 3, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return folder


def workflow(folder: Path, **out: Any) -> Path:
    prompt = {
        "1": {"class_type": "VideoIn", "inputs": {"video": "clip.mkv"}},
        "2": {"class_type": "UpscaleModel", "inputs": {"model": "realesr-animevideov3"}},
        "3": {"class_type": "TiledUpscaleVideo", "inputs": {"video": ["1", 0], "upscale_model": ["2", 0], "target": "4x"}},
        "4": {"class_type": "VideoOut", "inputs": {"video": ["3", 0], "filename_prefix": "film", **out}},
    }
    path = folder / "workflow.json"
    path.write_text(json.dumps(prompt), encoding="utf-8")
    return path


def arguments(videos: Path, tmp_path: Path, **out: Any) -> list[str]:
    places = ["--input-dir", str(videos), "--output-dir", str(tmp_path / "out"), "--backend", "null", "--device", "cpu"]
    return ["run", str(workflow(videos, **out)), *places]


def decoded(path: Path) -> tuple[list[np.ndarray], list[Fraction]]:
    with av.open(str(path)) as video:
        frames = list(video.decode(video=0))
    return [frame.to_ndarray(format="rgb24") for frame in frames], [Fraction(frame.pts) * frame.time_base for frame in frames]


def test_a_video_without_loss_is_every_frame_upscaled_at_its_own_time(videos: Path, tmp_path: Path) -> None:
    assert main(arguments(videos, tmp_path, codec="ffv1", container="mkv", bit_depth="8", chroma="4:4:4")) == 0
    images, times = decoded(tmp_path / "out" / "film_00001_.mkv")
    assert times == [Fraction(index * 40 + index % 3, 1000) for index in range(10)]
    for image, source in zip(images, FRAMES, strict=True):
        np.testing.assert_array_equal(image, source.repeat(4, axis=0).repeat(4, axis=1))


def test_workers_of_the_node_make_the_same_video(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = {"codec": "ffv1", "container": "mkv", "bit_depth": "8", "filename_prefix": "a.mkv", "if_exists": "replace"}
    assert main(arguments(videos, tmp_path, **exact)) == 0
    path, shared = tmp_path / "out" / "a.mkv", list[object]()
    one, encode_gaps = read_packets(path), driver.encode_gaps
    monkeypatch.setattr(driver, "encode_gaps", lambda *values: (shared.append(values[2]), encode_gaps(*values)))
    for workers in ("1", "2"):  # this process and another, which may come too late
        assert main(arguments(videos, tmp_path, **exact, workers=workers)) == 0
        assert read_packets(path) == one
        assert bool(shared) == (workers == "2")


def read_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as video:
        return [bytes(packet) for packet in video.demux(video=0)]


def test_a_run_that_is_killed_goes_on_and_ends_in_the_same_video(videos: Path, tmp_path: Path) -> None:
    ask = arguments(videos, tmp_path, codec="ffv1", container="mkv", bit_depth="8", chroma="4:4:4")
    stopped = subprocess.Popen([sys.executable, "-m", "runtime", *ask], cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    parts = tmp_path / "out" / "film_00001_.mkv.parts"
    deadline = time.monotonic() + 120
    while not parts.is_dir() and stopped.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    stopped.send_signal(signal.SIGKILL)
    stopped.wait()
    assert main(ask) == 0
    images, _ = decoded(tmp_path / "out" / "film_00001_.mkv")
    assert len(images) == 10
    np.testing.assert_array_equal(images[9], FRAMES[9].repeat(4, axis=0).repeat(4, axis=1))
    assert not parts.exists()
    assert main(ask) == 0  # the next run is another film
    assert (tmp_path / "out" / "film_00002_.mkv").is_file()


def test_the_file_carries_the_prompt(videos: Path, tmp_path: Path) -> None:
    assert main(arguments(videos, tmp_path, codec="h264", bit_depth="8")) == 0
    with av.open(str(tmp_path / "out" / "film_00001_.mp4")) as video:
        assert json.loads(video.metadata["prompt"])["3"]["class_type"] == "TiledUpscaleVideo"


def test_a_video_that_is_none_gets_a_sentence(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (videos / "clip.mkv").write_text("no film")
    assert main(arguments(videos, tmp_path)) == 1
    assert "clip.mkv" in capsys.readouterr().err
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def both_ways(videos: Path, tmp_path: Path, source: dict[str, Any], result: dict[str, Any]) -> list[str]:
    """A workflow without a model: one node in, one out; the files that it writes."""
    path = videos / "plain.json"
    path.write_text(json.dumps({"1": source, "2": {**result, "inputs": {"video": ["1", 0], **result["inputs"]}}}))
    assert (
        main(["run", str(path), "--input-dir", str(videos), "--output-dir", str(tmp_path / "out"), "--progress", "none"]) == 0
    )
    return sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())


def sequence_in(pictures: str) -> dict[str, Any]:
    return {"class_type": "SequenceIn", "inputs": {"pictures": pictures, "frame_rate": 24.0}}


def video_in(**more: Any) -> dict[str, Any]:
    return {"class_type": "VideoIn", "inputs": {"video": "clip.mkv", **more}}


def test_images_of_a_video_make_the_same_video_again(videos: Path, tmp_path: Path) -> None:
    out = {"class_type": "SequenceOut", "inputs": {"filename": "shots/f_%04d.png"}}
    names = [f"shots_00001_/f_{number:04}.png" for number in range(1, 11)]
    assert both_ways(videos, tmp_path, video_in(), out) == names
    back = {"class_type": "SequenceIn", "inputs": {"pictures": "shots_00001_/f_%04d.png [output]", "frame_rate": 25.0}}
    exact = {"codec": "ffv1", "container": "mkv", "bit_depth": "8", "chroma": "4:4:4", "filename_prefix": "back"}
    both_ways(videos, tmp_path, back, {"class_type": "VideoOut", "inputs": exact})
    images, times = decoded(tmp_path / "out" / "back_00001_.mkv")
    assert times == [Fraction(number, 25) for number in range(10)]
    np.testing.assert_array_equal(np.stack(images), np.stack(FRAMES))


def test_a_series_is_counted_up_or_replaced(videos: Path, tmp_path: Path) -> None:
    for how, folders in (
        ("number", ["s_00001_"]),
        ("number", ["s_00001_", "s_00002_"]),
        ("replace", ["s", "s_00001_", "s_00002_"]),
    ):
        both_ways(
            videos, tmp_path, video_in(), {"class_type": "SequenceOut", "inputs": {"filename": "s/%d.png", "if_exists": how}}
        )
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == folders


@pytest.mark.parametrize(("prefix", "name"), [("a/", "a/Upscale8K.mkv"), ("", "Upscale8K.mkv")])
def test_a_video_without_a_name_gets_one(videos: Path, tmp_path: Path, prefix: str, name: str) -> None:
    inputs = {"filename_prefix": prefix, "container": "mkv", "codec": "ffv1", "bit_depth": "8", "if_exists": "replace"}
    assert both_ways(videos, tmp_path, video_in(), {"class_type": "VideoOut", "inputs": inputs}) == [name]


@pytest.mark.parametrize("how", ["number", "replace"])
def test_tokens_in_the_names_of_images_are_filled_in(videos: Path, tmp_path: Path, how: str) -> None:
    out = {"class_type": "SequenceOut", "inputs": {"filename": "s%height%/%width%_%day%_%03d.png", "if_exists": how}}
    written = both_ways(videos, tmp_path, video_in(frame_cap=2), out)
    folder = "s36_00001_" if how == "number" else "s36"
    assert [re.sub(r"64_\d\d_", "64_DD_", name) for name in written] == [f"{folder}/64_DD_00{number}.png" for number in (1, 2)]


def test_the_day_alone_makes_no_series(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = {"class_type": "SequenceOut", "inputs": {"video": ["1", 0], "filename": "s/%day%.png"}}
    path = videos / "plain.json"
    path.write_text(json.dumps({"1": video_in(), "2": out}))
    assert (
        main(["run", str(path), "--input-dir", str(videos), "--output-dir", str(tmp_path / "out"), "--progress", "none"]) == 2
    )
    assert "names one image" in capsys.readouterr().err


def test_another_video_under_the_same_name_leaves_a_stopped_one_alone(videos: Path, tmp_path: Path) -> None:
    """As the whole program: killed in the middle, another film, and the first again."""
    exact = {"codec": "ffv1", "container": "mkv", "bit_depth": "8", "chroma": "4:4:4"}
    rival = videos / "b.json"
    rival.write_text(workflow(videos, **exact).read_text().replace("clip.mkv", "b.mkv"))
    (videos / "clip.mkv").rename(videos / "b.mkv")
    long = many(videos / "clip.mkv", 120)
    ask = arguments(videos, tmp_path, **exact)
    stopped = subprocess.Popen([sys.executable, "-m", "runtime", *ask], cwd=ROOT, stderr=subprocess.DEVNULL)
    first = tmp_path / "out" / "film_00001_.mkv.parts" / "000000.mp4"
    deadline = time.monotonic() + 60
    while not first.exists() and stopped.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    stopped.send_signal(signal.SIGKILL)
    stopped.wait()
    made = first.stat()
    assert main([argument.replace("workflow.json", "b.json") for argument in ask]) == 0
    assert len(decoded(tmp_path / "out" / "film_00002_.mkv")[0]) == 10
    assert first.stat() == made
    assert main(ask) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["film_00001_.mkv", "film_00002_.mkv"]
    assert len(decoded(tmp_path / "out" / "film_00001_.mkv")[0]) == long


def many(path: Path, count: int) -> int:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "bgr0"
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(np.roll(FRAMES[0], index, axis=1), format="rgb24").reformat(format="bgr0")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return count


def test_a_suffix_in_the_name_goes_before_the_container(videos: Path, tmp_path: Path) -> None:
    inputs = {"filename_prefix": "a/film.MKV", "container": "mp4", "codec": "ffv1", "bit_depth": "8", "if_exists": "replace"}
    assert both_ways(videos, tmp_path, video_in(), {"class_type": "VideoOut", "inputs": inputs}) == ["a/film.MKV"]
    with av.open(str(tmp_path / "out" / "a" / "film.MKV")) as video:
        assert "matroska" in video.format.name


@pytest.mark.parametrize(
    ("source", "result", "fact", "exit_code"),
    [
        (sequence_in("nowhere/%d.png"), "s/%d.png", "'nowhere' is not", 2),
        (sequence_in("../x/%d.png"), "s/%d.png", "outside the input", 2),
        (sequence_in("%d.png"), "s/%d.png", "There is no image", 1),
        (video_in(), "s/one.png", "names one image", 2),
        (video_in(), "../%d.png", "outside the output", 2),
        (video_in(), "s/%d.xyz", "no suffix of an image format", 1),
    ],
)
def test_a_series_that_cannot_be_is_a_sentence(
    videos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    source: dict[str, Any],
    result: str,
    fact: str,
    exit_code: int,
) -> None:
    """What a look at the values shows is an invalid workflow (2); what shows when a node runs is an error (1)."""
    out = {"class_type": "SequenceOut", "inputs": {"video": ["1", 0], "filename": result}}
    path = videos / "plain.json"
    path.write_text(json.dumps({"1": source, "2": out}))
    folders = ["--input-dir", str(videos), "--output-dir", str(tmp_path / "out")]
    assert main(["run", str(path), *folders, "--progress", "none"]) == exit_code
    assert fact in capsys.readouterr().err
