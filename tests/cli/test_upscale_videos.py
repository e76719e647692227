"""``upscale`` on videos and image sequences: the shipped workflows with other values."""

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from .conftest import NULL, Place, Prompt, pixels_of

LARGER = ("--to", "4x", *NULL)
FRAMES = [np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8) for number in range(4)]
EXACT = ("--set", "VideoOut.codec=ffv1", "--set", "VideoOut.chroma=4:4:4", "--set", "VideoOut.bit_depth=8")


def video(path: str) -> Path:
    """Four frames of noise without loss, with a title."""
    with av.open(path, "w", format="matroska") as out:
        out.metadata["title"] = "Noise"
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "bgr0"
        for number, pixels in enumerate(FRAMES):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="bgr0")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return Path(path)


def series(folder: str, first: int = 1, dtype: type = np.uint8) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(FRAMES, first):
        cv2.imwrite(f"{folder}/{number:04}.png", pixels.astype(dtype) * (1 if dtype == np.uint8 else 257))


def decoded(path: str) -> list[np.ndarray]:
    with av.open(path) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def larger(pixels: np.ndarray) -> np.ndarray:
    return pixels.repeat(4, axis=0).repeat(4, axis=1)


def assert_larger(found: list[np.ndarray]) -> None:
    for after, before in zip(found, FRAMES, strict=True):
        np.testing.assert_array_equal(after, larger(before))


def test_a_video_becomes_a_video_of_the_name_that_was_asked_for(place: Place) -> None:
    video("input/in.mkv")
    answer = place("upscale", "input/in.mkv", "-o", "output/out.MKV", "-b", 4, *LARGER, *EXACT)
    assert (answer.code, answer.out, answer.new) == (0, "output/out.MKV\n", ["output/out.MKV"])
    assert_larger(decoded("output/out.MKV"))
    with av.open("output/out.MKV") as container:
        assert container.metadata["title"] == "Noise"
        prompt = json.loads(container.metadata["PROMPT"])
    assert {node["class_type"] for node in prompt.values()} == {"VideoIn", "UpscaleModel", "TiledUpscaleVideo", "VideoOut"}


@pytest.mark.parametrize("name", ["o.mp4", "o.mov", "o.mkv", "o.webm"])
def test_a_video_that_was_made_here_runs_again_as_its_own_workflow(place: Place, name: str) -> None:
    video("input/in.mkv")
    codec = () if name == "o.webm" else ("--set", "VideoOut.codec=h264")
    assert place("upscale", "input/in.mkv", "-o", f"made/{name}", *LARGER, *codec).code == 0
    answer = place("run", f"made/{name}", "--input-dir", "input", "--output-dir", "again", *NULL)
    assert (answer.code, answer.new) == (0, [f"again/{name}"]), answer.err
    for again, before in zip(decoded(f"again/{name}"), decoded(f"made/{name}"), strict=True):
        np.testing.assert_array_equal(again, before)
    assert place("check", f"made/{name}", "--input-dir", "input").code == 0


def test_a_video_as_comfyui_saves_it_runs_as_its_workflow(place: Place, prompt: Prompt) -> None:
    with av.open("made.mp4", "w", options={"movflags": "use_metadata_tags"}) as out:  # as SaveVideo does
        out.metadata["prompt"] = json.dumps(prompt)
        stream = out.add_stream("h264", rate=25)
        stream.width, stream.height = 32, 24
        out.mux(stream.encode(av.VideoFrame.from_ndarray(FRAMES[0], format="rgb24")))
        out.mux(stream.encode(None))
    assert place("run", "made.mp4", *NULL).new == ["output/result_00001_.png"]


def test_a_video_without_a_workflow_says_so(place: Place) -> None:
    video("input/in.mkv")
    place.refuses(place("run", "input/in.mkv"), "in.mkv is a video without a workflow", "Save the workflow in ComfyUI")


@pytest.mark.parametrize(("out", "codec"), [("o.mp4", "hevc"), ("o.mov", "hevc"), ("o.mkv", "hevc"), ("o.webm", "av1")])
def test_the_suffix_chooses_the_container(place: Place, out: str, codec: str) -> None:
    video("input/in.mkv")
    assert place("upscale", "input/in.mkv", "-o", f"output/{out}", "--to", "4x", *NULL).new == [f"output/{out}"]
    with av.open(f"output/{out}") as container:
        stream = container.streams.video[0]
        assert stream.codec.canonical_name == codec
        assert (stream.width, stream.height) == (128, 96)


def test_a_result_is_replaced_and_never_numbered(place: Place) -> None:
    video("input/in.mkv")
    for target, width in (("2x", 64), ("3x", 96)):
        assert place("upscale", "input/in.mkv", "-o", "output/o.mkv", "--to", target, *NULL, *EXACT).code == 0
        assert decoded("output/o.mkv")[0].shape[1] == width
    assert sorted(path.name for path in Path("output").iterdir()) == ["o.mkv"]


def test_a_folder_of_videos_and_images_becomes_a_folder_and_a_bad_one_stops_nothing(place: Place) -> None:
    video("input/b.mkv")
    video("input/d.avi").rename("input/d.ts")  # what a file is called does not matter
    Path("input/c.mp4").write_text("no video")
    answer = place("upscale", "input", "-o", "output", *LARGER)
    assert answer.code == 1
    assert answer.new == answer.out.splitlines() == ["output/a.png", "output/b.mkv", "output/d.mkv"]
    (line,) = [line for line in answer.err.splitlines() if line.startswith("Error: ")]
    assert line.startswith("Error: c.mp4 "), "no node: the user typed a file, not a workflow"


def test_numbered_images_become_numbered_images_of_the_same_numbers_and_depth(place: Place) -> None:
    series("input/shot", 1001, np.uint16)
    answer = place("upscale", "input/shot/%04d.png", "-o", "output/up_%05d.tiff", *LARGER)
    assert (answer.code, answer.out) == (0, "output/up_%05d.tiff\n")
    assert answer.new == [f"output/up_{number:05}.tiff" for number in range(1001, 1005)]
    for number, before in enumerate(FRAMES, 1001):
        after = cv2.imread(f"output/up_{number:05}.tiff", cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(after, larger(before).astype(np.uint16) * 257)


def test_numbered_images_become_a_video_at_the_rate_that_is_asked_for(place: Place) -> None:
    series("input/shot")
    for source, out in (("input/shot/%04d.png", "one.mkv"), ("input/shot", "two.mkv")):
        assert place("upscale", source, "-o", f"output/{out}", "--fps", 23.976, *LARGER, *EXACT).code == 0
        assert_larger([image[:, :, ::-1] for image in decoded(f"output/{out}")])
        with av.open(f"output/{out}") as container:
            assert container.streams.video[0].average_rate == Fraction(24000, 1001)


def test_a_video_becomes_numbered_images(place: Place) -> None:
    video("input/in.mkv")
    answer = place("upscale", "input/in.mkv", "-o", "output/f/%03d.png", *LARGER)
    assert answer.new == [f"output/f/{number:03}.png" for number in range(1, 5)]
    assert_larger([cv2.imread(path)[:, :, ::-1] for path in answer.new])


def test_a_gap_in_the_numbers_is_refused_and_closes_up_when_that_is_asked_for(place: Place) -> None:
    series("input/shot")
    Path("input/shot/0002.png").unlink()
    answer = place("upscale", "input/shot/%04d.png", "-o", "output/%04d.png", *LARGER)
    assert answer.code != 0
    assert "number 2 is missing, between 0001.png and 0003.png" in answer.err
    assert answer.new == []
    answer = place("upscale", "input/shot/%04d.png", "-o", "output/%04d.png", "--set", "SequenceIn.gaps=close up", *LARGER)
    assert "1 number has no image (2)" in answer.err
    assert len(answer.new) == 3


def test_a_image_of_another_size_is_named_and_what_is_whole_is_kept(place: Place) -> None:
    series("input/shot")
    cv2.imwrite("input/shot/0003.png", FRAMES[0][:12])
    answer = place("upscale", "input/shot/%04d.png", "-o", "output/%04d.png", *LARGER)
    assert answer.code == 1
    assert "0003.png is 32x12 with 8 bits, the images before it are 32x24 with 8" in answer.err
    cv2.imwrite("input/shot/0003.png", FRAMES[2])
    again = place("upscale", "input/shot/%04d.png", "-o", "output/%04d.png", *LARGER)
    assert again.code == 0
    assert "the source or model changed. 2 finished images are kept in #.png.unfinished.1" in again.err
    results = [f"{number:04}.png" for number in range(1, 5)]
    assert sorted(path.name for path in Path("output").iterdir()) == ["#.png.unfinished.1", *results]
    kept = sorted(path.name for path in Path("output/#.png.unfinished.1").iterdir())
    assert kept == ["#.png.unfinished", *results[:2]]


@pytest.mark.parametrize(
    ("source", "out", "facts"),
    [
        ("input/in.mkv", "output/o.avi", ["videos cannot be written as .avi", ".mp4"]),
        ("input/in.mkv", "output/o.png", ["videos cannot be written as .png"]),
        ("input/a.png", "output/o.mp4", ["images cannot be written as .mp4"]),
        ("input/in.mkv", "input/in.mkv", ["would be replaced by its own result"]),
        ("input/shot/%04d.png", "input/shot", ["is in the folder of its sources"]),
        ("input/none/%04d.png", "output", ["none"]),
        ("input/shot/x_%04d.png", "output", ["There is no image x_%04d.png"]),
        ("input/*.mkv", "output/o.mp4", ["names 2 images or videos", "Set a folder"]),
    ],
)
def test_what_does_not_go_together_is_a_sentence(place: Place, source: str, out: str, facts: list[str]) -> None:
    video("input/in.mkv")
    video("input/other.mkv")
    series("input/shot")
    place.refuses(place("upscale", source, "-o", out, *LARGER), *facts)


def test_a_rate_is_for_numbered_images(place: Place) -> None:
    video("input/in.mkv")
    place.refuses(place("upscale", "input/in.mkv", "-o", "output/o.mp4", "--fps", 24, *NULL), "--fps is for image sequences")


def test_progress_for_machines_tells_frames_pace_and_bytes(place: Place) -> None:
    video("input/in.mkv")
    said = place(
        "upscale", "input/in.mkv", "-o", "output/o.mkv", "--to", "2x", "--backend", "null", *EXACT, "--progress", "json"
    )
    events = [json.loads(line) for line in said.err.splitlines()]
    last = [event for event in events if event["event"] == "progress"][-1]
    assert (last["done"], last["total"], last["unit"], last["reused"], last["resumed"]) == (4, 4, "frame", 0, 0)
    assert last["frames_per_second"] > 0
    assert last["eta_seconds"] == 0


def save_animation(path: str, shades: Sequence[int] = (40, 120, 200)) -> None:
    frames = [Image.fromarray(np.full((24, 32, 3), shade, np.uint8)) for shade in shades]
    kind: dict[str, Any] = {"format": "PNG"} if path.endswith(".apng") else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[100, 50, 200], loop=2, lossless=True, **kind)


@pytest.mark.parametrize(
    ("suffix", "result"), [(".gif", ""), (".png", ""), (".apng", ""), (".webp", ""), (".gif", "out.webp"), (".webp", "out.png")]
)
def test_an_animated_image_stays_one_and_keeps_its_times_and_plays(place: Place, suffix: str, result: str) -> None:
    save_animation(f"input/anim{suffix}")
    answer = place("upscale", f"input/anim{suffix}", "--to", "2x", *(["-o", result] if result else []), *NULL)
    assert answer.code == 0, answer.err
    assert answer.out == f"{result or f'input/anim_2x{suffix}'}\n"
    with Image.open(answer.out.strip()) as image:
        assert image.info["loop"] == 2 + (suffix == ".gif" and result != "")  # a GIF counts repetitions, the others plays
        for number, (shade, duration) in enumerate(zip((40, 120, 200), (100, 50, 200), strict=True)):
            image.seek(number)
            image.load()  # Pillow knows the duration of a WebP then
            assert (image.info["duration"], image.size) == (duration, (64, 48))
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - shade).max() <= (2 if suffix == ".gif" else 0)


def test_an_animated_image_becomes_a_video_with_its_times(place: Place) -> None:
    save_animation("input/anim.gif")
    answer = place("upscale", "input/anim.gif", "-o", "anim.mkv", "--to", "2x", *EXACT, *NULL)
    assert answer.code == 0, answer.err
    with av.open("anim.mkv") as file:
        shown = [(float(frame.time or 0), frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)]
    assert [round(time, 3) for time, _ in shown] == [0, 0.1, 0.15]
    for (_, image), shade in zip(shown, (40, 120, 200), strict=True):
        assert image.shape == (48, 64, 3)
        assert (image == shade).all()


def test_the_first_frame_of_an_animation_is_an_image_where_that_is_asked(place: Place) -> None:
    save_animation("input/anim.gif")
    Image.new("RGB", (32, 24), (40, 40, 40)).save("input/still.gif")
    answer = place("upscale", "input/anim.gif", "-o", "first.tif", "--to", "2x", "--backend", "null", "--progress", "plain")
    assert "has 3 frames; the first is read" in answer.err
    assert (pixels_of("first.tif") == 40).all()
    assert place("upscale", "input/still.gif", "--to", "2x", *NULL).out == "input/still_2x.png\n"
    place.refuses(place("upscale", "input/still.gif", "-o", "again.gif", *NULL), "images cannot be written as .gif")


@pytest.mark.parametrize(("container", "codec"), [("mov", "prores"), ("mkv", "ffv1"), ("webm", "vp9")])
def test_alpha_goes_through_and_chooses_the_codec(place: Place, container: str, codec: str) -> None:
    """Of an image sequence to a video, and of that to another and to images again."""
    source = np.dstack([np.full((24, 32), 200, np.uint8)] * 3 + [np.where(np.arange(32) < 12, 0, 255)[None].repeat(24, 0)])
    for number in (1, 2):
        Image.fromarray(source.astype(np.uint8)).save(f"input/a_{number}.png")
    assert place("upscale", "input/a_%d.png", "-o", f"one.{container}", "--to", "model scale", *NULL).code == 0
    assert place("upscale", f"one.{container}", "--to", "2x", *NULL).out == f"one_2x.{container}\n"
    with av.open(f"one_2x.{container}") as file:
        assert file.streams.video[0].codec_context.codec.canonical_name == codec
    answer = place("upscale", f"one_2x.{container}", "-o", "out/%d.png", "--to", "128x96", *NULL)
    assert answer.code == 0, answer.err
    opened = np.asarray(Image.open("out/2.png").convert("RGBA")).astype(int)
    assert opened.shape == (96, 128, 4)
    assert np.abs(opened[:, :40, 3]).max() <= 2
    assert np.abs(opened[:, 60:] - [200, 200, 200, 255]).max() <= 3
