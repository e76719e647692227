"""Files of other programs are not touched, finished work is not thrown away, and a source is one file from beginning to end."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from upscale8k.runtime.errors import MediaError, OutputError
from upscale8k.runtime.file_lock import OutputLocked
from upscale8k.runtime.media.video_stream import Frame, VideoStream
from upscale8k.runtime.video.write.journal import SegmentFolder
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from ..helpers import Seen, frame_hashes, make_source, video

SETTINGS = VideoWriteSettings("h264", "mkv", 8, preset="ultrafast", segment_seconds=Fraction(1, 3))
COUNT = 40


def stop(path: Path, after: int = 25, **settings: object) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_video(video(COUNT), path, replace(SETTINGS, **settings), Seen(limit=after))


def meanwhile(stream: VideoStream, number: int, act: Callable[[], object]) -> VideoStream:
    """Do something when frame ``number`` is made."""

    def frames(first: int = 0) -> Iterator[Frame]:
        with stream.frames(first) as inner:
            for index, frame in enumerate(inner, first):
                if index == number:
                    act()
                yield frame

    return VideoStream(stream.info, frames, frames)


def test_a_slip_in_the_command_sets_finished_frames_aside_and_the_right_command_takes_them_up(tmp_path: Path) -> None:
    path = tmp_path / "o.mkv"
    stop(path)
    slip, right = Seen(), Seen()
    write_video(video(COUNT), path, replace(SETTINGS, crf=21), slip)
    (aside,) = tmp_path.glob("o.mkv.parts*")
    assert aside.name == "o.mkv.parts.1"
    assert any(
        "finished frames are kept in o.mkv.parts.1: the earlier command continues them" in text for text in slip.messages
    )
    report = write_video(video(COUNT), path, SETTINGS, right)
    assert report.resumed_frames == 20
    assert "Taking up what was set aside as o.mkv.parts.1." in right.messages
    assert [each.name for each in tmp_path.iterdir()] == ["o.mkv"]
    write_video(video(COUNT), tmp_path / "whole.mkv", SETTINGS, Seen())
    assert frame_hashes(path) == frame_hashes(tmp_path / "whole.mkv")


@pytest.mark.parametrize("moment", ["set_aside", "take_up"])
def test_finished_frames_move_while_no_other_run_can_begin(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "o.mkv"
    stop(path)
    if moment == "take_up":
        write_video(video(COUNT), path, replace(SETTINGS, crf=21), Seen())
    move, refused = getattr(SegmentFolder, moment), list[str]()

    def let_another_run_try_first(folder: SegmentFolder, *given: object) -> Path | None:
        monkeypatch.setattr(SegmentFolder, moment, move)
        with pytest.raises(OutputLocked) as caught:
            write_video(video(COUNT), path, SETTINGS if moment == "take_up" else replace(SETTINGS, crf=22), Seen())
        refused.append(caught.value.what)
        return move(folder, *given)

    monkeypatch.setattr(SegmentFolder, moment, let_another_run_try_first)
    write_video(video(COUNT), path, SETTINGS if moment == "take_up" else replace(SETTINGS, crf=21), Seen())
    assert refused == ["Another run is writing o.mkv at the moment."]
    assert [each.name for each in tmp_path.glob("o.mkv.parts*")] == ([] if moment == "take_up" else ["o.mkv.parts.1"])
    if moment == "set_aside":
        assert write_video(video(COUNT), path, SETTINGS, Seen()).resumed_frames == 20


def test_two_slips_keep_both(tmp_path: Path) -> None:
    path = tmp_path / "o.mkv"
    for crf in (20, 21, 22):
        try:
            stop(path, crf=crf)
        except OutputError:
            pytest.fail("a slip must not stop the work")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["o.mkv.parts", "o.mkv.parts.1", "o.mkv.parts.2"]
    assert write_video(video(COUNT), path, replace(SETTINGS, crf=20), Seen()).resumed_frames == 20


@pytest.mark.parametrize("name", ["notes.txt", "000000.mp4", "holiday.mp4"])
def test_a_folder_of_another_program_is_left_alone(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "o.mkv.parts"
    folder.mkdir()
    (folder / name).write_text("mine")
    with pytest.raises(OutputError, match="not of this program"):
        write_video(video(COUNT), tmp_path / "o.mkv", SETTINGS, Seen())
    assert [(each.name, each.read_text()) for each in folder.iterdir()] == [(name, "mine")]


@pytest.mark.parametrize("resume", [True, False])
def test_files_of_another_program_in_our_folder_are_left_alone(tmp_path: Path, resume: bool) -> None:
    path = tmp_path / "o.mkv"
    stop(path)
    strangers = {path.with_name("o.mkv.parts") / name for name in ("notes.txt", "holiday.mp4", "a.part", "deep/00.mp4")}
    strangers |= {tmp_path / name for name in ("o.mkv.part", "o.mkv.parts.bak", "o.mkv.1234567890.part")}
    for stranger in strangers:
        stranger.parent.mkdir(exist_ok=True)
        stranger.write_text("mine")
    write_video(video(COUNT), path, SETTINGS, Seen(), resume=resume)
    assert {each for each in tmp_path.rglob("*") if each.is_file()} == strangers | {path}
    assert {stranger.read_text() for stranger in strangers} == {"mine"}


def test_a_numbered_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "video_00001_.mkv"
    stream = meanwhile(video(COUNT), 30, lambda: path.write_text("mine"))
    report = write_video(stream, path, SETTINGS, Seen(), fail_if_exists=True)
    assert (path.read_text(), report.path.name) == ("mine", "video_00002_.mkv")
    assert len(frame_hashes(report.path)) == COUNT


def test_a_source_that_is_replaced_meanwhile_is_an_error_and_its_frames_are_not_used(tmp_path: Path) -> None:
    source, other = make_source(tmp_path / "in.mkv"), make_source(tmp_path / "other.mkv", sound="libopus")
    path = tmp_path / "o.mkv"
    stream = meanwhile(video(COUNT, source=source), 30, lambda: other.replace(source))
    with pytest.raises(MediaError, match="changed while it was read"):
        write_video(stream, path, SETTINGS, Seen())
    assert not path.exists()
    seen = Seen()
    assert write_video(video(COUNT, source=source), path, SETTINGS, seen).resumed_frames == 0
    assert any("in.mkv is not the file that it was when the run began" in text for text in seen.messages)


def test_a_file_whose_middle_arrives_later_is_not_continued(tmp_path: Path) -> None:
    """Begun while it was copied into space set aside for it: length, beginning and end are those of the whole file."""
    data = make_source(tmp_path / "whole.mkv", sound="pcm_s16le", seconds=8).read_bytes()
    source, path = tmp_path / "in.mkv", tmp_path / "o.mkv"
    source.write_bytes(data[: len(data) // 3] + bytes(len(data) // 3) + data[2 * (len(data) // 3) :])
    with pytest.raises(KeyboardInterrupt):
        write_video(video(COUNT, source=source), path, SETTINGS, Seen(limit=25))
    source.write_bytes(data)
    assert write_video(video(COUNT, source=source), path, SETTINGS, Seen()).resumed_frames == 0


def test_another_date_is_not_another_file(tmp_path: Path) -> None:
    source, path = make_source(tmp_path / "in.mkv"), tmp_path / "o.mkv"
    with pytest.raises(KeyboardInterrupt):
        write_video(video(COUNT, source=source), path, SETTINGS, Seen(limit=25))
    os.utime(source, (1, 1))
    assert write_video(video(COUNT, source=source), path, SETTINGS, Seen()).resumed_frames == 20


def test_a_finished_segment_that_is_spoiled_meanwhile_is_not_joined(tmp_path: Path) -> None:
    path = tmp_path / "o.mkv"
    first = tmp_path / "o.mkv.parts" / "000000.mp4"
    stream = meanwhile(video(COUNT), 30, lambda: first.write_bytes(first.read_bytes()[:-9] + b"somethink"))
    with pytest.raises(OutputError, match=r"000000\.mp4 was damaged"):
        write_video(stream, path, SETTINGS, Seen())
    assert not path.exists()
    write_video(video(COUNT), path, SETTINGS, Seen())
    assert len(frame_hashes(path)) == COUNT
