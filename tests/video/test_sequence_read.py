import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from upscale8k.runtime.errors import MediaError, WorkflowError
from upscale8k.runtime.frames.geometry import Size
from upscale8k.runtime.video.sequence import find, open_sequence


def save(path: Path, level: int = 0, size: tuple[int, int] = (8, 6)) -> Path:
    Image.new("RGB", size, (level, level, level)).save(path)
    return path


def read(path: Path) -> np.ndarray:
    try:
        return np.asarray(Image.open(path).convert("RGB"))
    except OSError as error:
        raise MediaError(f"{path.name} is damaged.", "Replace it.", path=path) from error


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_a_pattern_finds_its_numbers_in_order(tmp_path: Path) -> None:
    for number in (10, 9, 100000, 11):
        save(tmp_path / f"f_{number:05d}.png")
    save(tmp_path / "f_12.png")
    save(tmp_path / "g_00001.png")
    assert names(find(tmp_path / "f_%05d.png")) == ["f_00009.png", "f_00010.png", "f_00011.png", "f_100000.png"]
    assert names(find(tmp_path / "f_%d.png"))[:4] == ["f_00009.png", "f_00010.png", "f_00011.png", "f_12.png"]


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    for number in (1, 2, 10, 9):
        save(tmp_path / f"shot 3 frame {number}.png")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.png").write_bytes(b"x")
    assert names(find(tmp_path)) == [f"shot 3 frame {n}.png" for n in (1, 2, 9, 10)]


def test_letters_of_a_pattern_mean_themselves(tmp_path: Path) -> None:
    save(tmp_path / "a.b(1).png")
    save(tmp_path / "axb(1).png")
    assert names(find(tmp_path / "a.b(%d).png")) == ["a.b(1).png"]


def test_gaps_are_told(tmp_path: Path) -> None:
    for number in (1, 2, 5, 20260101):
        save(tmp_path / f"{number}.png")
    said: list[str] = []
    assert len(find(tmp_path, say=said.append)) == 4
    assert said == [f"{tmp_path}: 20260097 numbers have no picture (3, 6, ...); the film closes up."]
    (tmp_path / "20260101.png").unlink()
    save(tmp_path / "3.png")
    find(tmp_path, say=said.append)
    assert said[1] == f"{tmp_path}: 1 number has no picture (4); the film closes up."


def test_a_series_without_gaps_says_nothing(tmp_path: Path) -> None:
    for number in (7, 8, 9):
        save(tmp_path / f"{number}.png")
    said: list[str] = []
    find(tmp_path, say=said.append)
    assert said == []


@pytest.mark.parametrize(
    ("place", "what"), [("no", "is not there"), ("empty", "no picture"), ("a.txt", "is a file"), ("empty/%d.png", "no picture")]
)
def test_places_without_pictures_are_refused(tmp_path: Path, place: str, what: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(MediaError, match=what) as caught:
        find(tmp_path / place)
    assert caught.value.hint


def test_two_series_in_one_folder_are_not_mixed(tmp_path: Path) -> None:
    save(tmp_path / "a1.png")
    save(tmp_path / "b1.png")
    with pytest.raises(MediaError, match=r"more than one series of pictures \(# is a number\): a#\.png, b#\.png"):
        find(tmp_path)


def test_pictures_become_a_film(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.png", 10 * i) for i in range(7)]
    stream = open_sequence(paths, Fraction(24000, 1001), read)
    assert stream.info.size == Size(8, 6)
    assert (stream.info.frame_count, stream.info.frame_count_from) == (7, "files")
    assert stream.info.duration == Fraction(7 * 1001, 24000)
    assert stream.info.source is None
    assert stream.info.colour.range == "pc"
    for _ in range(2):
        frames = list(stream.open())
        assert [int(frame.pixels[0, 0, 0]) for frame in frames] == [10 * i for i in range(7)]
        assert [frame.seconds for frame in frames] == [Fraction(1001 * i, 24000) for i in range(7)]
    assert [frame.pts for frame in stream.frames(5)] == [5, 6]


def test_deep_pictures_stay_deep(tmp_path: Path) -> None:
    deep = np.full((4, 4, 3), 60000, np.uint16)
    stream = open_sequence([save(tmp_path / "1.png")], Fraction(25), lambda _: deep)
    (frame,) = stream.open()
    assert stream.info.bits == 16
    assert (frame.pixels == 60000).all()


def test_a_picture_of_another_size_is_named(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.png", size=(8, 6) if i != 3 else (9, 6)) for i in range(5)]
    frames = open_sequence(paths, Fraction(25), read).open()
    assert [next(frames).pts for _ in range(3)] == [0, 1, 2]
    with pytest.raises(MediaError, match=r"3\.png is 9x6 with 8 bits, the pictures before it are 8x6 with 8") as caught:
        next(frames)
    assert caught.value.path == paths[3]


def test_a_damaged_picture_is_named_where_it_is_reached(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.png") for i in range(3)]
    paths[1].write_bytes(paths[1].read_bytes()[:30])
    frames = open_sequence(paths, Fraction(25), read).open()
    next(frames)
    with pytest.raises(MediaError, match=r"1\.png is damaged"):
        next(frames)
    assert not [thread for thread in threading.enumerate() if thread.name == "read pictures"]


def test_the_fingerprint_follows_the_files(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.png") for i in range(3)]
    first = open_sequence(paths, Fraction(25), read).info.identity
    assert open_sequence(paths, Fraction(25), read).info.identity == first
    assert open_sequence(paths[:2], Fraction(25), read).info.identity != first
    save(paths[1], 77)
    assert open_sequence(paths, Fraction(25), read).info.identity != first


def test_what_is_no_film_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no pictures"):
        open_sequence([], Fraction(25), read)
    with pytest.raises(WorkflowError, match="frame rate"):
        open_sequence([save(tmp_path / "1.png")], Fraction(0), read)
