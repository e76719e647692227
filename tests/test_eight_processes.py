"""Eight processes write to one folder with every writer at once: ``pytest -m full tests/test_eight_processes.py``.

A result that gets a number is there as often as it was written, with the pixels of whoever wrote it; of results with one name
and ``if_exists`` at ``refuse`` there is one, and the others get the error that the name is taken.
"""

import subprocess
import sys
from collections import Counter
from contextlib import redirect_stderr
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from upscale8k.nodes import get_node_classes
from upscale8k.runtime.cli import main
from upscale8k.runtime.comfyui.builtin.video import VideoComponents, VideoFromComponents
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.host import LocalHost

WRITERS, SIDE = 8, 64
TAKEN = ("already", "Another run is writing")


def make_image(writer: int, number: int) -> torch.Tensor:
    """(1, 64, 64, 3): a grey that says who wrote it, in which round."""
    return torch.full((1, SIDE, SIDE, 3), (writer * 30 + number + 10) / 255)


def make_calls(host: LocalHost, image: torch.Tensor, number: int) -> dict[str, Any]:
    """Return one call per writer; the name says what it does where the name is taken."""
    nodes = get_node_classes(host)
    video = VideoFromComponents(VideoComponents(images=image.repeat(2, 1, 1, 1), audio=None, frame_rate=Fraction(24)))
    lossless = {"container": "mkv", "codec": "ffv1"}
    return {
        "number ImageOut": lambda: nodes["ImageOut"]().run(image, "image_out"),
        "number SaveImage": lambda: nodes["SaveImage"]().save_images(image, "save_image"),
        "number VideoOut": lambda: nodes["VideoOut"]().run(video, "video_out", **lossless),
        "number AnimationOut": lambda: nodes["VideoOut"]().run(video, "animation_out", container="webp"),
        "number SaveVideo": lambda: nodes["SaveVideo"]().save(video, "mkv", "save_video"),
        "number SequenceOut": lambda: nodes["SequenceOut"]().run(video, "sequence/%03d.png"),
        "refuse ImageOut": lambda: nodes["ImageOut"]().run(image, f"one_image_{number}", if_exists="refuse"),
        "refuse VideoOut": lambda: nodes["VideoOut"]().run(video, f"one_video_{number}", **lossless, if_exists="refuse"),
        "refuse SequenceOut": lambda: nodes["SequenceOut"]().run(video, f"one_{number}/%03d.png", if_exists="refuse"),
        "replace ImageOut": lambda: nodes["ImageOut"]().run(image, "replaced.tif", if_exists="replace"),
    }


def write_round(folder: Path, writer: int, number: int) -> None:
    """Call every writer once and print what became of it."""
    host = LocalHost(output_dir=folder)
    for name, call in make_calls(host, make_image(writer, number), number).items():
        try:
            call()
            print(f"done {name}", flush=True)
        except OutputError as error:
            answer = "taken" if name.startswith("refuse") and any(text in str(error) for text in TAKEN) else f"ERROR {error}"
            print(f"{answer} {name}", flush=True)
    with redirect_stderr(StringIO()) as errors:
        code = main(
            ["upscale", str(folder / "source.png"), "--to", f"{number + 1}x", "--backend", "null", "--progress", "none"]
        )
    is_taken = any(text in errors.getvalue() for text in TAKEN)
    print(f"{'done' if code == 0 else 'taken' if is_taken else f'ERROR {errors.getvalue()}'} upscale", flush=True)


PROCESS = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
from runtime.bootstrap import load_pack; load_pack()
import test_eight_processes as tests
for number in range(int(sys.argv[5])):
    print("ready", flush=True)
    sys.stdin.readline()
    tests.write_round(Path(sys.argv[3]), int(sys.argv[4]), number)
"""


def run_processes(folder: Path, root: Path, rounds: int) -> Counter[str]:
    """Return how often each line was printed; all processes begin each round together."""
    command = [sys.executable, "-c", PROCESS, str(root), str(root / "tests"), str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([*command, str(writer), str(rounds)], **pipes) for writer in range(WRITERS)]
    lines: Counter[str] = Counter()
    try:
        for _ in range(rounds):
            for process in processes:
                while (line := process.stdout.readline().strip()) != "ready":
                    assert line, process.communicate()[1]
                    lines[line] += 1
            for process in processes:
                process.stdin.write("go\n")
                process.stdin.flush()
        for process in processes:
            out, errors = process.communicate(timeout=900)
            assert process.returncode == 0, errors
            lines.update(out.splitlines())
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return lines


def read_grey(path: Path) -> int:
    if path.suffix == ".mkv":
        with av.open(path) as container:
            frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
        assert len(frames) == 2
        return round(float(np.mean(frames)))
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape == (SIDE, SIDE)
    assert np.ptp(pixels) == 0
    return int(pixels[0, 0])


@pytest.mark.full
@pytest.mark.parametrize("rounds", [2, 20])
def test_no_file_is_lost_and_no_error_is_raised_but_a_taken_name(tmp_path: Path, root: Path, rounds: int) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "source.png")
    lines = run_processes(tmp_path, root, rounds)
    print(dict(sorted(lines.items())))
    everything = WRITERS * rounds
    assert not [line for line in lines if "ERROR" in line]
    for name in ("ImageOut", "SaveImage", "VideoOut", "AnimationOut", "SaveVideo", "SequenceOut"):
        assert lines[f"done number {name}"] == everything
    for name in ("ImageOut", "VideoOut", "SequenceOut"):
        assert lines[f"done refuse {name}"] == rounds
        assert lines[f"taken refuse {name}"] == everything - rounds
    assert lines["done replace ImageOut"] == everything
    assert lines["done upscale"] >= rounds
    assert lines["done upscale"] + lines["taken upscale"] == everything
    greys = {writer * 30 + number + 10 for writer in range(WRITERS) for number in range(rounds)}
    for pattern in ("image_out_*.png", "save_image_*.png", "sequence_*/001.png", "animation_out_*.webp", "video_out_*.mkv"):
        found = [read_grey(path) for path in tmp_path.glob(pattern)]
        assert len(found) == everything, pattern
        if not pattern.endswith("mkv"):
            assert set(found) == greys, pattern
    assert len(list(tmp_path.glob("save_video_*.mkv"))) == everything
    for number in range(rounds):
        (factor,) = tmp_path.glob(f"source_{number + 1}x.png")
        with Image.open(factor) as image:
            assert image.size == (8 * (number + 1), 8 * (number + 1))
    assert read_grey(tmp_path / "replaced.tif") in greys
    leftovers = [path.name for path in tmp_path.iterdir() if path.name.startswith(".") or ".part" in path.name]
    assert not leftovers
