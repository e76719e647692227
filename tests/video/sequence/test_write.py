"""A video as an image sequence: exact, resumed after a kill, and refused if images cannot hold it."""

import os
import re
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.file_lock import exclusive_lock
from upscale8k.runtime.images.sequence_frames import make_frame_reader, make_frame_writer
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.media.video_stream import ColorInfo, Frame, VideoStream
from upscale8k.runtime.video.sequence import write
from upscale8k.runtime.video.sequence.read import list_sequence_frames, open_sequence
from upscale8k.runtime.video.sequence.write import SequenceSettings, find_unfinished_sequence, write_sequence

from ..helpers import RGB, Seen, image, variable_times, video

SETTINGS = SequenceSettings(make_frame_writer({}))


def pixels(path: Path) -> np.ndarray:
    """As OpenCV reads it, in R'G'B' order."""
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:, :, ::-1]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("suffix", "dtype", "bits"), [("png", np.uint8, 8), ("png", np.uint16, 16), ("tiff", np.uint16, 16)])
def test_every_frame_is_an_image_with_all_its_bits(tmp_path: Path, suffix: str, dtype: type, bits: int) -> None:
    seen = Seen()
    settings = SequenceSettings(make_frame_writer({}), bits, 1001)
    first, last = write_sequence(video(5, dtype=dtype), tmp_path / f"f_%04d.{suffix}", settings, seen)
    assert (first.name, last.name) == (f"f_1001.{suffix}", f"f_1005.{suffix}")
    assert names(tmp_path) == [f"f_{1001 + number}.{suffix}" for number in range(5)]
    for number in range(5):
        np.testing.assert_array_equal(pixels(tmp_path / f"f_{1001 + number}.{suffix}"), image(number, dtype=dtype))
    assert seen.frames == 5
    assert seen.numbers["resumed"] == 0


def test_linear_exr_comes_back_to_within_a_step_of_half_floats(tmp_path: Path) -> None:
    """Half floats have 11 significant bits, so a 16-bit code moves by up to 1/2048 of itself in linear light."""
    write_sequence(video(2, dtype=np.uint16), tmp_path / "%d.exr", SequenceSettings(make_frame_writer({}), 16), Seen())
    read = make_frame_reader(10**6, print)
    frames = list(open_sequence(list_sequence_frames(tmp_path / "%d.exr"), Fraction(24), read).open())
    assert len(frames) == 2
    for number, frame in enumerate(frames):
        was = image(number, dtype=np.uint16).astype(int)
        assert np.all(np.abs(frame.pixels.astype(int) - was) <= np.maximum(was / 2000, 16))


def test_an_interrupted_run_resumes_after_its_last_complete_image(tmp_path: Path) -> None:
    pattern = tmp_path / "%03d.png"
    with pytest.raises(KeyboardInterrupt):
        write_sequence(video(9), pattern, SETTINGS, Seen(limit=5))
    begun = find_unfinished_sequence(pattern)
    assert begun is not None
    assert (begun.job_settings["source or model"], begun.finished_count) == ("a video", 5)
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.png")}
    opened: list[int] = []
    seen = Seen()
    write_sequence(video(9, opened=opened), pattern, SETTINGS, seen)
    resumed = seen.numbers["resumed"]
    assert resumed == 5
    assert opened == list(range(resumed, 9))
    assert seen.messages[0] == f"Resuming after {resumed} finished images."
    for number in range(resumed):
        assert (tmp_path / f"{number + 1:03}.png").stat().st_mtime_ns == kept[f"{number + 1:03}.png"]
    assert names(tmp_path) == [f"{number:03}.png" for number in range(1, 10)]
    for number in range(9):
        np.testing.assert_array_equal(pixels(tmp_path / f"{number + 1:03}.png"), image(number))


def test_an_image_that_is_gone_or_cut_off_is_made_again(tmp_path: Path) -> None:
    pattern = tmp_path / "%d.png"
    with pytest.raises(KeyboardInterrupt):
        write_sequence(video(9), pattern, SETTINGS, Seen(limit=8))
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:-1])
    opened: list[int] = []
    write_sequence(video(9, opened=opened), pattern, SETTINGS, Seen())
    assert opened == list(range(1, 9))
    np.testing.assert_array_equal(pixels(tmp_path / "2.png"), image(1))


@pytest.mark.parametrize(("change", "said"), [("source", "the source or model changed"), ("depth", "the depth changed")])
def test_other_settings_start_anew_and_say_why(tmp_path: Path, change: str, said: str) -> None:
    pattern = tmp_path / "%d.png"
    with pytest.raises(KeyboardInterrupt):
        write_sequence(video(6), pattern, SETTINGS, Seen(limit=4))
    opened: list[int] = []
    seen = Seen()
    made = video(6, identity="another" if change == "source" else "a video", opened=opened)
    write_sequence(made, pattern, SequenceSettings(make_frame_writer({}), 16 if change == "depth" else 8), seen)
    assert opened == list(range(6))
    assert said in seen.messages[0]
    assert f"{4} finished images are kept in #.png.unfinished.1" in seen.messages[0]
    # The earlier command takes them up again.
    opened.clear()
    write_sequence(video(6, opened=opened), pattern, SETTINGS, seen)
    assert opened == [4, 5]
    assert "Taking up what was set aside as #.png.unfinished.1." in seen.messages
    assert names(tmp_path) == [f"{number}.png" for number in range(1, 7)]
    for number in range(6):
        np.testing.assert_array_equal(pixels(tmp_path / f"{number + 1}.png"), image(number))


def test_a_state_file_of_another_program_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "#.png.unfinished").write_bytes(b"\x00nonsense")
    write_sequence(video(2), tmp_path / "%d.png", SETTINGS, Seen())
    assert names(tmp_path) == ["#.png.unfinished.1", "1.png", "2.png"]
    assert (tmp_path / "#.png.unfinished.1" / "#.png.unfinished").read_bytes() == b"\x00nonsense"


def test_older_images_after_the_last_are_reported(tmp_path: Path) -> None:
    seen = Seen()
    write_sequence(video(4), tmp_path / "%d.png", SETTINGS, Seen())
    write_sequence(video(2), tmp_path / "%d.png", SETTINGS, seen)
    assert seen.messages[1:] == ["3.png and the following images are from an earlier run."]


@pytest.mark.parametrize("names", ["%d.png", "%01d.png", "%d.PNG"])
def test_images_that_are_being_read_are_not_written_over(tmp_path: Path, names: str) -> None:
    """The second would be read after the first was written over it."""
    write_sequence(video(4), tmp_path / "%d.png", SETTINGS, Seen())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    read = open_sequence(list_sequence_frames(tmp_path), Fraction(24), make_frame_reader(10**6, print))
    (tmp_path / "same").symlink_to(tmp_path)
    for folder in (tmp_path, tmp_path / "same"):
        with pytest.raises(OutputError, match=r"is one of the source images"):
            write_sequence(read, folder / names, SequenceSettings(make_frame_writer({}), None, 2), Seen())
    (tmp_path / "same").unlink()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    write_sequence(read, tmp_path / "%d.png", SequenceSettings(make_frame_writer({}), None, 5), Seen())
    for number in range(4):
        np.testing.assert_array_equal(pixels(tmp_path / f"{number + 5}.png"), image(number))


def test_what_images_cannot_store_is_reported_or_refused(tmp_path: Path) -> None:
    seen = Seen()
    write_sequence(video(9, times=variable_times(9), audio_streams=1), tmp_path / "%d.png", SETTINGS, seen)
    assert any("no audio" in text for text in seen.messages)
    assert any("times are uneven" in text for text in seen.messages)
    hdr = video(2, color=ColorInfo("bt2020nc", "tv", "smpte2084", "bt2020"))
    with pytest.raises(OutputError, match="HDR"):
        write_sequence(hdr, tmp_path / "hdr" / "%d.png", SETTINGS, Seen())
    assert not (tmp_path / "hdr").exists()
    with pytest.raises(OutputError, match=r"one image, not a sequence"):
        write_sequence(video(2), tmp_path / "a.png", SETTINGS, Seen())
    with pytest.raises(OutputError, match="JPEG stores 8 bits"):
        write_sequence(video(2, color=RGB), tmp_path / "j" / "%d.jpg", SequenceSettings(make_frame_writer({}), 16), Seen())
    assert list((tmp_path / "j").iterdir()) == []


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    """Waiting frames are bounded: with capacity for two images and a slow disk there are never more than three."""
    waiting = most = 0

    def slow(path: Path, pixels: np.ndarray, bits: int) -> None:
        nonlocal waiting
        time.sleep(0.002)
        path.write_bytes(b"x")
        waiting -= 1

    class Counting(Seen):
        def advance(self, frames: int = 1) -> None:
            nonlocal waiting, most
            waiting += frames
            most = max(most, waiting)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("upscale8k.runtime.video.sequence.write._AHEAD_BYTES", 2 * 96 * 80 * 3)
        write_sequence(video(40), tmp_path / "%d.png", SequenceSettings(slow), Counting())
    assert most <= 3


KILLED = """
import sys
from pathlib import Path
from upscale8k.runtime.images.sequence_frames import make_frame_writer
from upscale8k.runtime.video.sequence.write import SequenceSettings, write_sequence
from helpers import Seen, video
write_sequence(video(400), Path(sys.argv[1]) / "%05d.png", SequenceSettings(make_frame_writer({})), Seen())
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_kill_9_loses_no_complete_image(root: Path, tmp_path: Path) -> None:
    script = f"import sys; sys.path.insert(0, {str(root)!r}); from runtime.bootstrap import load_pack; load_pack()\n"
    script += f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n{KILLED}"
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    deadline, state = time.monotonic() + 60, tmp_path / "#.png.unfinished"

    def count_lines() -> int:
        return state.read_text().count("\n") if state.exists() else 0

    while count_lines() <= 20 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    seen = Seen()
    write_sequence(video(400), tmp_path / "%05d.png", SETTINGS, seen)
    assert seen.numbers["resumed"] >= 20
    assert not list(tmp_path.glob("*.unfinished*"))
    for number in (0, seen.numbers["resumed"] - 1, seen.numbers["resumed"], 399):
        np.testing.assert_array_equal(pixels(tmp_path / f"{number + 1:05}.png"), image(number))


def test_two_runs_do_not_write_the_same_images(tmp_path: Path) -> None:
    pattern = tmp_path / "f_%03d.png"
    with (
        exclusive_lock(tmp_path / "f_#.png.unfinished.lock", "f"),
        pytest.raises(OutputError, match=r"Another run is writing f_#.png"),
    ):
        write_sequence(video(3), pattern, SETTINGS, Seen())
    write_sequence(video(3), pattern, SETTINGS, Seen())
    assert names(tmp_path) == ["f_001.png", "f_002.png", "f_003.png"]


@pytest.mark.parametrize("free", [40 << 20, 1 << 20])
def test_images_that_will_not_fit_are_reported_and_finished_ones_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    pattern = tmp_path / "%03d.png"
    with monkeypatch.context() as full:
        full.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
        full.setattr(write, "_AHEAD_BYTES", 0)  # each image is finished before the next is begun
        if free < 32 << 20:
            with pytest.raises(OutputError, match="is too small: for the next images") as raised:
                write_sequence(video(20), pattern, SETTINGS, Seen())
            assert "continues from there" in raised.value.hint
            assert not (tmp_path / "020.png").exists()
        else:
            seen = Seen()
            write_sequence(video(20), tmp_path / "a" / "%03d.png", SETTINGS, seen)
            assert [text for text in seen.messages if "Estimated from the first images, all will take about" in text]
    seen = Seen()
    write_sequence(video(20), pattern, SETTINGS, seen)
    assert (seen.numbers["resumed"] > 0) == (free < 32 << 20)
    np.testing.assert_array_equal(pixels(tmp_path / "020.png"), image(19))


@pytest.mark.parametrize(("suffix", "bits"), [("png", 8), ("png", 16), ("tiff", 16), ("exr", 16), ("jpg", 8)])
def test_the_size_of_images_is_estimated_within_a_factor_of_three(root: Path, tmp_path: Path, suffix: str, bits: int) -> None:
    """Measured on a photo that is enlarged four times, by OpenCV, with noise of a 16-bit kind."""
    photo = cv2.imread(str(root / "workflows" / "media" / "sample.png"))
    large = cv2.resize(photo, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)[:, :, ::-1].astype(np.float32) * 257
    large += np.random.default_rng(0).normal(0, 80, large.shape)
    pixels_ = large.clip(0, 65535).astype(np.uint16)
    base = video(2, dtype=np.uint16, size=Size(pixels_.shape[1], pixels_.shape[0]))
    stream = VideoStream(base.info, lambda: (Frame(pixels_, number, 1, Fraction(1, 24)) for number in range(2)))
    seen = Seen()
    write_sequence(stream, tmp_path / f"%d.{suffix}", SequenceSettings(make_frame_writer({}), bits), seen)
    found = re.search(r"The images will take about ([\d.]+) (MB|kB)", seen.messages[0])
    assert found
    said = float(found[1]) * {"MB": 1e6, "kB": 1e3}[found[2]]
    took = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert said / 3 < took < said * 3


def test_images_that_cannot_fit_are_refused_before_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand frames of 96x80 with 16 bits are 46 MB of samples; a quarter of what they may take is more than 5 MB."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=5_000_000))
    opened: list[int] = []
    with pytest.raises(OutputError, match=r"too small: at least 9\.2 MB are needed and 5\.0 MB are free"):
        write_sequence(video(1000, opened=opened), tmp_path / "%d.png", SequenceSettings(make_frame_writer({}), 16), Seen())
    assert opened == []
    assert list(tmp_path.iterdir()) == []
