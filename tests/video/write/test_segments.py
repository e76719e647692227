"""The queue before the encoder, and errors while joining."""

import hashlib
import json
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.video.write import encoder_options, segments
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from ..helpers import Seen, image, packets, parts_folder, video

SETTINGS = VideoWriteSettings("h264", "mp4", 8, preset="ultrafast", segment_seconds=Fraction(1, 3))


@pytest.mark.parametrize(("cores", "free", "mb"), [(2, 64, 128), (8, 64, 512), (64, 64, 512), (64, 1, 128)])
def test_what_waits_for_the_encoder_follows_cores_and_memory(
    monkeypatch: pytest.MonkeyPatch, cores: int, free: int, mb: int
) -> None:
    monkeypatch.setattr(segments, "count_usable_cores", lambda: cores)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=free << 30, available=free << 30))
    assert segments.get_queue_byte_limit() == mb << 20


def test_segments_of_two_frames_are_written_and_have_always_the_same_bytes(tmp_path: Path) -> None:
    """x265 returns undefined decoding times for them: half of all runs failed in the muxer, others differed."""
    settings = VideoWriteSettings("hevc", "mp4", 10, preset="ultrafast", segment_seconds=Fraction(2, 30))
    paths = [write_video(video(5), tmp_path / f"{number}.mp4", settings, Seen()).path for number in range(6)]
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}) == 1


def test_the_message_of_segments_that_differ_names_the_folder_to_delete(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    with pytest.raises(KeyboardInterrupt):
        write_video(video(30), path, SETTINGS, Seen(limit=24))
    folder = parts_folder(path)
    second = folder / "000001.mp4"
    with av.open(str(second), "w") as out:  # whole, and from another encoder
        stream = out.add_stream("libx264", rate=30, options={"profile": "high444", "qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 96, 80, "yuv444p"
        for number in range(10):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image(number), format="rgb24").reformat(format="yuv444p")))
        out.mux(stream.encode(None))
    lines = (folder / "journal.jsonl").read_text().splitlines()
    line = json.loads(lines[2])
    line |= {"bytes": second.stat().st_size, "sha256": hashlib.sha256(second.read_bytes()).hexdigest()}
    (folder / "journal.jsonl").write_text("\n".join([*lines[:2], json.dumps(line)]) + "\n")
    with pytest.raises(OutputError, match=r"000001.mp4 was written by another encoder") as caught:
        write_video(video(30), path, SETTINGS, Seen())
    assert caught.value.hint == "Delete the folder o.mp4.parts and run it again."
    (folder / "000001.mp4").unlink()
    assert write_video(video(30), path, SETTINGS, Seen()).frames == 30


@pytest.mark.parametrize("codec", ["hevc", "av1", "ffv1", "prores"])
def test_a_file_has_the_same_bytes_whatever_the_number_of_cores(
    tmp_path: Path, codec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    container: Any = {"ffv1": "mkv", "prores": "mov"}.get(codec, "mp4")
    settings = VideoWriteSettings(codec, container, 10 if codec == "prores" else 8)
    found: list[list[tuple[Fraction, bytes]]] = []
    for cores in (1, 2, 8):
        monkeypatch.setattr(encoder_options, "count_usable_cores", lambda cores=cores: cores)
        path = tmp_path / f"{cores}.{container}"
        write_video(video(30, size=Size(320, 192)), path, settings, Seen())
        found.append(packets(path, "video"))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("is_large", [False, True])
def test_x264_whose_bytes_depend_on_its_threads_has_the_same_number_everywhere(
    is_large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = encoder_options.EncoderRequest(18, None, "medium", 30, is_large)
    found: list[dict[str, str]] = []
    for cores in (1, 2, 64):
        monkeypatch.setattr(encoder_options, "count_usable_cores", lambda cores=cores: cores)
        found.append(dict(encoder_options.build_x264_options(request)))
    assert found[0] == found[1] == found[2]
