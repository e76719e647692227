"""Audio, subtitles, chapters and tags of the source in the written video."""

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from upscale8k.runtime.errors import MediaError
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from ..clips import numbered
from ..clips import write as clip
from ..helpers import Seen, fraction, frame_times, make_source, packets, video

_PNG = BytesIO()
Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(_PNG, "png")
PIXEL = _PNG.getvalue()
SETTINGS = VideoWriteSettings("h264", "mp4", 8, preset="ultrafast")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    folder = tmp_path_factory.mktemp("sources")
    yield {
        "aac": make_source(folder / "aac.mkv", sounds=2),
        "mp4": make_source(folder / "aac.mp4", text="mov_text"),
        "opus": make_source(folder / "opus.mkv", sound="libopus", text="ass"),
        "pcm": make_source(folder / "pcm.mkv", sound="pcm_s16le", text="webvtt"),
        "ts": make_source(folder / "aac.ts", text=None, offset=500),
    }


def write(source: Path, path: Path, **settings: object) -> Seen:
    seen = Seen()
    container = path.suffix[1:]
    codec = "vp9" if container == "webm" else "h264"
    write_video(
        video(60, source=source), path, replace(SETTINGS, codec=codec, container=container, preset="", **settings), seen
    )
    return seen


def lines(path: Path) -> list[tuple[Fraction, str]]:
    """The subtitles as text, with the time each begins."""
    found = []
    for time, data in packets(path, "subtitles"):
        text = data[2:] if path.suffix in (".mp4", ".mov") else data.rpartition(b",,")[2]
        if text:
            found.append((time, text.decode()))
    return found


@pytest.mark.parametrize("name", ["aac", "mp4", "opus", "pcm"])
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_sound_is_copied_byte_for_byte(tmp_path: Path, sources: dict[str, Path], name: str, container: str) -> None:
    path = tmp_path / f"o.{container}"
    seen = write(sources[name], path)
    before, after = packets(sources[name], "audio"), packets(path, "audio")
    if name == "pcm" and container == "mp4":  # MP4 splits uncompressed audio into packets of its own
        assert b"".join(data for _, data in after) == b"".join(data for _, data in before)
    else:
        assert [data for _, data in after] == [data for _, data in before]
        assert max(abs(a - b) for (a, _), (b, _) in zip(after, before, strict=True)) <= Fraction(1, 1000)
    assert not [text for text in seen.messages if "Audio track" in text]


def test_every_audio_track_keeps_its_position_and_language(tmp_path: Path, sources: dict[str, Path]) -> None:
    write(sources["aac"], tmp_path / "o.mkv")
    with av.open(str(tmp_path / "o.mkv")) as container:
        assert [stream.language for stream in container.streams.audio] == ["deu", "fra"]
    for which in range(2):
        before = packets(sources["aac"], "audio", which)
        assert [data for _, data in packets(tmp_path / "o.mkv", "audio", which)] == [data for _, data in before]


def test_image_and_sound_keep_their_distance_when_the_source_begins_late(tmp_path: Path, sources: dict[str, Path]) -> None:
    source = sources["ts"]
    times = [round(time * 90000) for time in frame_times(source)]
    assert times[0] == 45000
    write_video(video(60, times=times, source=source), tmp_path / "o.mp4", SETTINGS, Seen())
    assert frame_times(tmp_path / "o.mp4") == [Fraction(time, 90000) for time in times]
    before, after = packets(source, "audio"), packets(tmp_path / "o.mp4", "audio")
    assert abs(before[0][0] - after[0][0]) <= Fraction(1, 48000)


@pytest.mark.parametrize(("container", "spoken", "codec"), [("webm", "Opus", "opus"), ("mov", "AAC", "aac")])
def test_audio_that_the_container_cannot_hold_is_encoded_again_with_a_message(
    tmp_path: Path, sources: dict[str, Path], container: str, spoken: str, codec: str
) -> None:
    source = sources["aac" if container == "webm" else "opus"]
    path = tmp_path / f"o.{container}"
    seen = write(source, path)
    assert any(f"cannot hold: it is encoded again as {spoken}, 192 kbit/s" in text for text in seen.messages)
    pitches = []
    with av.open(str(path)) as made:
        stream = made.streams.audio[0]
        assert stream.codec_context.name in (codec, f"lib{codec}")
        sound = [frame.to_ndarray()[0] for frame in made.decode(stream)]
        pitches.append(_pitch(sound, stream.codec_context.sample_rate))
    assert pitches[0] == pytest.approx(440, abs=5)


def _pitch(blocks: list, rate: int) -> float:
    import numpy as np

    wave = np.concatenate(blocks)[rate // 4 : rate // 4 + rate]
    spectrum = np.abs(np.fft.rfft(wave))
    return float(np.argmax(spectrum) * rate / len(wave))


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize("name", ["aac", "mp4", "opus", "pcm"])
def test_text_subtitles_arrive_in_every_container(tmp_path: Path, sources: dict[str, Path], name: str, container: str) -> None:
    path = tmp_path / f"o.{container}"
    write(sources[name], path)
    assert lines(path) == [(Fraction(1, 10), "Hello"), (Fraction(9, 10), "and goodbye")]


def test_a_change_of_subtitle_format_is_reported(tmp_path: Path, sources: dict[str, Path]) -> None:
    seen = write(sources["aac"], tmp_path / "o.mp4")
    assert any("is converted to mov_text" in text for text in seen.messages)
    assert not [text for text in write(sources["aac"], tmp_path / "o.mkv").messages if "Subtitle" in text]


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_chapters_and_tags_are_kept(tmp_path: Path, sources: dict[str, Path], container: str) -> None:
    path = tmp_path / f"o.{container}"
    write(sources["aac"], path, metadata={"prompt": json.dumps({"3": {}})})
    with av.open(str(path)) as made:
        chapters = [
            (
                chapter["metadata"]["title"],
                chapter["start"] * fraction(chapter["time_base"]),
                chapter["end"] * fraction(chapter["time_base"]),
            )
            for chapter in made.chapters()
        ]
        tags = {name.lower(): text for name, text in made.metadata.items()}
    assert chapters == [("One", 0, 1), ("Two", 1, 2)]
    assert tags["title"] == "A short clip"
    assert json.loads(tags["prompt"]) == {"3": {}}


def test_a_part_of_the_source_takes_its_part_of_everything(tmp_path: Path, sources: dict[str, Path]) -> None:
    path = tmp_path / "o.mkv"
    part = video(30, source=sources["aac"], start=Fraction(1, 2), end=Fraction(3, 2))
    write_video(part, path, replace(SETTINGS, container="mkv"), Seen())
    whole = packets(sources["aac"], "audio")
    expected = [(time - Fraction(1, 2), data) for time, data in whole if Fraction(1, 2) <= time < Fraction(3, 2)]
    assert packets(path, "audio") == expected
    assert lines(path) == [(Fraction(0), "Hello"), (Fraction(2, 5), "and goodbye")]
    with av.open(str(path)) as made:
        chapters = made.chapters()
    assert [chapter["end"] * fraction(chapter["time_base"]) for chapter in chapters] == [Fraction(1, 2), 1]


def test_sound_and_subtitles_can_be_left_out(tmp_path: Path, sources: dict[str, Path]) -> None:
    write(sources["aac"], tmp_path / "o.mp4", audio="none", subtitles="none")
    with av.open(str(tmp_path / "o.mp4")) as made:
        assert not made.streams.audio
        assert not made.streams.subtitles


def test_fonts_attached_to_a_matroska_video_go_along(tmp_path: Path, sources: dict[str, Path]) -> None:
    with av.open(str(sources["opus"])) as template, av.open(str(tmp_path / "in.mkv"), "w") as out:
        stream = out.add_stream_from_template(template.streams.audio[0], opaque=True)
        out.add_attachment("type.ttf", "application/x-truetype-font", b"\0\1\0\0 not really a font")
        for packet in template.demux(template.streams.audio[0]):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    write(tmp_path / "in.mkv", tmp_path / "o.mkv")
    with av.open(str(tmp_path / "o.mkv")) as made:
        attachment = next(stream for stream in made.streams if stream.type == "attachment")
        assert attachment.data == b"\0\1\0\0 not really a font"
        assert (attachment.name, attachment.mimetype) == ("type.ttf", "application/x-truetype-font")


def test_a_source_that_is_damaged_in_the_middle_does_not_cost_the_video(tmp_path: Path, sources: dict[str, Path]) -> None:
    data = bytearray(sources["aac"].read_bytes())
    middle = len(data) // 2
    data[middle : middle + 6000] = bytes(6000)
    (tmp_path / "bad.mkv").write_bytes(data)
    seen = write(tmp_path / "bad.mkv", tmp_path / "o.mp4")
    assert len(frame_times(tmp_path / "o.mp4")) == 60
    good = {data for _, data in packets(sources["aac"], "audio")}
    kept = [data for _, data in packets(tmp_path / "o.mp4", "audio")]
    assert len(good) // 4 < len(good & set(kept)) < len(good)
    assert seen.frames == 60


def test_a_source_that_is_damaged_later_keeps_the_frames(tmp_path: Path) -> None:
    (tmp_path / "in.mkv").write_bytes(b"")
    with pytest.raises(MediaError, match="All frames are done"):
        write_video(video(5, source=tmp_path / "in.mkv"), tmp_path / "o.mp4", SETTINGS, Seen())
    assert (tmp_path / "o.mp4.parts" / "000000.mp4").exists()
    assert not (tmp_path / "o.mp4").exists()


def test_sound_whose_times_run_backwards_does_not_cost_the_video(tmp_path: Path, sources: dict[str, Path]) -> None:
    """A recording that lost packets: MP4 refuses equal times, and 1/90000 s is less than a sample."""
    data = sources["ts"].read_bytes()
    spliced = tmp_path / "spliced.ts"
    spliced.write_bytes(data + data)
    with av.open(str(spliced)) as found:
        times = [packet.dts for packet in found.demux(found.streams.audio[0]) if packet.size and packet.dts is not None]
    assert any(after <= before for before, after in pairwise(times))
    seen = write(spliced, tmp_path / "o.mp4")
    made = [time for time, _ in packets(tmp_path / "o.mp4", "audio")]
    assert len(made) == len(times)
    assert all(after > before for before, after in pairwise(made))
    assert made[-1] - made[0] > 3
    assert not [text for text in seen.messages if "times that run backwards" in text]  # the audio continues as the video does


def test_a_timecode_is_copied_if_the_container_accepts_it(tmp_path: Path) -> None:
    frames = numbered(10)
    for rate, kept in ((25, "01:00:00:00"), (1000, None)):
        source = clip(tmp_path / f"{rate}.mkv", frames, rate=rate, metadata={"timecode": "01:00:00:00"})
        path = tmp_path / f"{rate}.mp4"
        seen = Seen()
        write_video(video(10, source=source, frame_rate=Fraction(rate)), path, SETTINGS, seen)
        with av.open(str(path)) as made:
            assert made.streams.video[0].metadata.get("timecode") == kept
        assert bool([text for text in seen.messages if "timecode 01:00:00:00 is left out" in text]) == (kept is None)


def test_a_cover_is_copied_to_matroska_and_reported_elsewhere(tmp_path: Path, sources: dict[str, Path]) -> None:
    with av.open(str(sources["aac"])) as template, av.open(str(tmp_path / "in.mkv"), "w") as out:
        stream = out.add_stream_from_template(template.streams.video[0], opaque=True)
        out.add_attachment("cover.png", "image/png", PIXEL)
        for packet in template.demux(template.streams.video[0]):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    write(tmp_path / "in.mkv", tmp_path / "o.mkv")
    with av.open(str(tmp_path / "o.mkv")) as made:
        cover = made.streams.video[1]
        assert cover.metadata["filename"] == "cover.png"
        assert [bytes(packet) for packet in made.demux(cover) if packet.size] == [PIXEL]
    seen = write(tmp_path / "in.mkv", tmp_path / "o.mp4")
    assert [text for text in seen.messages if "cover image" in text and "left out" in text]
