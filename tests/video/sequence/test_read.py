import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from upscale8k.runtime.errors import MediaError, OutputError, WorkflowError
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.video.sequence.read import (
    SequenceFrame,
    find_images,
    list_sequence_frames,
    match_number,
    open_sequence,
    select_time_range,
)


def save(path: Path, level: int = 0, size: tuple[int, int] = (8, 6)) -> Path:
    Image.new("RGB", size, (level, level, level)).save(path)
    return path


def read(path: Path) -> np.ndarray:
    try:
        return np.asarray(Image.open(path).convert("RGB"))
    except OSError as error:
        raise MediaError(f"{path.name} is damaged.", "Replace it.", path=path) from error


def in_a_row(paths: list[Path]) -> list[SequenceFrame]:
    return [SequenceFrame(path, time) for time, path in enumerate(paths)]


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_a_pattern_finds_its_numbers_in_order(tmp_path: Path) -> None:
    for number in (10, 9, 100000, 11):
        save(tmp_path / f"f_{number:05d}.png")
    save(tmp_path / "f_12.png")
    save(tmp_path / "g_00001.png")
    assert names(find_images(tmp_path / "f_%05d.png")) == ["f_00009.png", "f_00010.png", "f_00011.png", "f_100000.png"]
    assert names(find_images(tmp_path / "f_%d.png"))[:4] == ["f_00009.png", "f_00010.png", "f_00011.png", "f_12.png"]


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    for number in (1, 2, 10, 9):
        save(tmp_path / f"shot 3 frame {number}.png")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.png").write_bytes(b"x")
    assert names(find_images(tmp_path)) == [f"shot 3 frame {n}.png" for n in (1, 2, 9, 10)]


def test_letters_of_a_pattern_mean_themselves(tmp_path: Path) -> None:
    save(tmp_path / "a.b(1).png")
    save(tmp_path / "axb(1).png")
    assert names(find_images(tmp_path / "a.b(%d).png")) == ["a.b(1).png"]


def test_a_missing_number_is_refused_by_its_name(tmp_path: Path) -> None:
    for number in (8, 9, 11, 12):
        save(tmp_path / f"f_{number:03}.png")
    with pytest.raises(MediaError) as caught:
        list_sequence_frames(tmp_path / "f_%03d.png")
    assert caught.value.what == f"{tmp_path}: number 10 is missing, between f_009.png and f_011.png."
    assert "keep time" in caught.value.hint
    (tmp_path / "f_011.png").unlink()
    save(tmp_path / "f_20260101.png")
    with pytest.raises(MediaError) as caught:
        list_sequence_frames(tmp_path)
    assert "number 10 is missing, between f_009.png and f_012.png. " in caught.value.what
    assert caught.value.what.endswith("20260090 numbers have no image (10, 13, ...).")


@pytest.mark.parametrize("place", ["", "shot_%03d_v2.png"], ids=["folder", "pattern"])
def test_the_number_that_counts_is_not_always_the_last(tmp_path: Path, place: str) -> None:
    for number in (1, 2, 5, 6):
        save(tmp_path / f"shot_{number:03}_v2.png")
    with pytest.raises(MediaError) as caught:
        list_sequence_frames(tmp_path / place)
    assert caught.value.what == (
        f"{tmp_path}: number 3 is missing, between shot_002_v2.png and shot_005_v2.png. {tmp_path}: 2 numbers have no image "
        "(3, ...)."
    )
    assert [each.frame_index for each in list_sequence_frames(tmp_path / place, "keep time")] == [0, 1, 4, 5]


def test_of_several_numbers_that_vary_the_last_counts_where_the_others_stay(tmp_path: Path) -> None:
    for name in ("a1_8.png", "a1_9.png", "a2_1.png", "a2_3.png"):
        save(tmp_path / name)
    with pytest.raises(MediaError) as caught:
        list_sequence_frames(tmp_path)
    assert caught.value.what == f"{tmp_path}: number 2 is missing, between a2_1.png and a2_3.png."
    assert [each.frame_index for each in list_sequence_frames(tmp_path, "keep time")] == [0, 1, 2, 3]


def test_the_day_is_not_the_number_of_a_pattern(tmp_path: Path) -> None:
    save(tmp_path / "%day%_00007.png")
    assert names(find_images(tmp_path / "%day%_%05d.png")) == ["%day%_00007.png"]
    with pytest.raises(OutputError, match="names one image"):
        match_number(Path("%day%.png"))


def test_gaps_are_reported_when_they_are_closed_or_keep_their_time(tmp_path: Path) -> None:
    for number in (1, 2, 5, 9):
        save(tmp_path / f"{number}.png", 10 * number)
    said: list[str] = []
    times = {
        gaps: [each.frame_index for each in list_sequence_frames(tmp_path, gaps, on_message=said.append)]
        for gaps in ("close up", "keep time")
    }
    assert times == {"close up": [0, 1, 2, 3], "keep time": [0, 1, 4, 8]}
    missing = f"{tmp_path}: 5 numbers have no image (3, 6, ...)"
    assert said == [f"{missing}; the video is shorter.", f"{missing}; the images before them last longer."]


def test_a_video_that_keeps_its_time_has_the_numbers_for_times(tmp_path: Path) -> None:
    for number in (1, 2, 5, 9):
        save(tmp_path / f"{number}.png", 10 * number)
    rate = Fraction(24)
    kept = list_sequence_frames(tmp_path, "keep time")
    stream = open_sequence(kept, rate, read)
    frames = [(frame.pts, frame.duration, int(frame.pixels[0, 0, 0])) for frame in stream.open()]
    assert frames == [(0, 1, 10), (1, 3, 20), (4, 4, 50), (8, 1, 90)]
    assert (stream.info.frame_count, stream.info.duration) == (4, Fraction(9, 24))
    part = open_sequence(select_time_range(kept, rate, Fraction(3, 24), Fraction(6, 24)), rate, read)
    assert [(frame.pts, int(frame.pixels[0, 0, 0])) for frame in part.open()] == [(1, 50), (5, 90)]
    assert stream.info.identity != open_sequence(list_sequence_frames(tmp_path, "close up"), rate, read).info.identity


def test_a_sequence_without_gaps_has_no_message(tmp_path: Path) -> None:
    for number in (7, 8, 9):
        save(tmp_path / f"{number}.png")
    said: list[str] = []
    assert [each.frame_index for each in list_sequence_frames(tmp_path, on_message=said.append)] == [0, 1, 2]
    assert said == []


@pytest.mark.parametrize(
    ("place", "what"), [("no", "is not there"), ("empty", "no image"), ("a.txt", "is a file"), ("empty/%d.png", "no image")]
)
def test_paths_without_images_are_refused(tmp_path: Path, place: str, what: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(MediaError, match=what) as caught:
        find_images(tmp_path / place)
    assert caught.value.hint


def test_two_series_in_one_folder_are_not_mixed(tmp_path: Path) -> None:
    save(tmp_path / "a1.png")
    save(tmp_path / "b1.png")
    with pytest.raises(MediaError, match=r"more than one image sequence \(# is a number\): a#\.png, b#\.png"):
        find_images(tmp_path)


def test_images_become_a_video(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.png", 10 * i) for i in range(7)]
    stream = open_sequence(in_a_row(paths), Fraction(24000, 1001), read)
    assert stream.info.size == Size(8, 6)
    assert (stream.info.frame_count, stream.info.frame_count_source) == (7, "files")
    assert stream.info.duration == Fraction(7 * 1001, 24000)
    assert stream.info.source is None
    assert stream.info.color.range == "pc"
    for _ in range(2):
        frames = list(stream.open())
        assert [int(frame.pixels[0, 0, 0]) for frame in frames] == [10 * i for i in range(7)]
        assert [frame.seconds for frame in frames] == [Fraction(1001 * i, 24000) for i in range(7)]
    with stream.frames(5) as frames:
        assert [frame.pts for frame in frames] == [5, 6]


def test_deep_images_stay_deep(tmp_path: Path) -> None:
    deep = np.full((4, 4, 3), 60000, np.uint16)
    stream = open_sequence(in_a_row([save(tmp_path / "1.png")]), Fraction(25), lambda _: deep)
    (frame,) = stream.open()
    assert stream.info.bit_depth == 16
    assert (frame.pixels == 60000).all()


def test_an_image_of_another_size_is_named(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.png", size=(8, 6) if i != 3 else (9, 6)) for i in range(5)]
    frames = open_sequence(in_a_row(paths), Fraction(25), read).open()
    assert [next(frames).pts for _ in range(3)] == [0, 1, 2]
    with pytest.raises(MediaError, match=r"3\.png is 9x6 with 8 bits, the images before it are 8x6 with 8") as caught:
        next(frames)
    assert caught.value.path == paths[3]


def test_a_damaged_image_is_named_where_it_is_reached(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.png") for i in range(3)]
    paths[1].write_bytes(paths[1].read_bytes()[:30])
    frames = open_sequence(in_a_row(paths), Fraction(25), read).open()
    next(frames)
    with pytest.raises(MediaError, match=r"1\.png is damaged"):
        next(frames)
    assert not [thread for thread in threading.enumerate() if thread.name == "read images"]


def test_the_fingerprint_follows_the_files(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.png") for i in range(3)]
    first = open_sequence(in_a_row(paths), Fraction(25), read).info.identity
    assert open_sequence(in_a_row(paths), Fraction(25), read).info.identity == first
    assert open_sequence(in_a_row(paths[:2]), Fraction(25), read).info.identity != first
    save(paths[1], 77)
    assert open_sequence(in_a_row(paths), Fraction(25), read).info.identity != first


def test_an_empty_sequence_and_a_rate_of_zero_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no images"):
        open_sequence([], Fraction(25), read)
    with pytest.raises(WorkflowError, match="frame rate"):
        open_sequence(in_a_row([save(tmp_path / "1.png")]), Fraction(0), read)
