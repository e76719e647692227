"""HDR stays HDR, as ffprobe and FFmpeg's decoders read it; what cannot be kept is reported or refused."""

import json
import shutil
import struct
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.media.video_stream import ColorInfo
from upscale8k.runtime.video.read.video_reader import open_video
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from . import clips
from .helpers import Seen, video

# A P3 display of 1000 cd/m2 in x265's syntax: steps of 0.00002 and of 0.0001 cd/m2.
SCREEN = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
VALUES = [34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450]
TAGS = {"matrix": "bt2020nc", "range": "tv", "primaries": "bt2020"}


def source(path: Path, transfer: str = "smpte2084", more: str = "") -> Path:
    """Six frames of HEVC in 10 bits: a ramp of brightness."""
    ramp = np.tile(np.linspace(64, 940, 64).astype(np.uint16), (48, 1))
    chroma = np.full((24, 32), 512, np.uint16)
    frames = [clips.image([ramp, chroma, chroma], "yuv420p10le") for _ in range(6)]
    options = {"preset": "ultrafast", "x265-params": f"log-level=none{more}"}
    return clips.write(path, frames, codec="libx265", options=options, tags={**TAGS, "transfer": transfer})


def ffprobe(path: Path) -> dict[str, Any]:
    if not shutil.which("ffprobe"):
        pytest.skip("ffprobe is not installed")
    entries = "stream=color_space,color_transfer,color_primaries,color_range,pix_fmt:frame=side_data_list"
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", entries, "-read_intervals", "%+#1"]
    said = subprocess.run([*command, "-show_frames", "-of", "json", str(path)], capture_output=True, text=True, check=True)
    return json.loads(said.stdout)


def side_data(path: Path, name: str) -> bytes | None:
    """By the decoder of PyAV's FFmpeg, which knows more of H.264 than older ffprobes."""
    with av.open(str(path)) as container:
        found = next(container.decode(video=0)).side_data.get(name)
    return None if found is None else bytes(found)


@pytest.mark.parametrize(
    ("codec", "container"),
    [("hevc", "mp4"), ("hevc", "mkv"), ("hevc", "mov"), ("av1", "mp4"), ("av1", "webm"), ("h264", "mp4"), ("h264", "mkv")],
)
def test_hdr10_stays_hdr10(tmp_path: Path, codec: Any, container: Any) -> None:
    made = source(tmp_path / "in.mkv", more=f":master-display={SCREEN}:max-cll=1000,400")
    out = tmp_path / f"out.{container}"
    seen = Seen()
    write_video(open_video(made), out, VideoWriteSettings(codec, container, 10), seen)
    (stream,) = ffprobe(out)["streams"]
    assert (stream["color_space"], stream["color_transfer"], stream["color_primaries"]) == ("bt2020nc", "smpte2084", "bt2020")
    assert stream["pix_fmt"] == "yuv420p10le"
    numbers = struct.unpack_from("=22i", side_data(out, "MASTERING_DISPLAY_METADATA"))
    steps = [Fraction(*numbers[i : i + 2]) * 50_000 for i in range(0, 16, 2)]
    assert all(abs(step - value) < 1 for step, value in zip(steps, VALUES, strict=True))
    assert struct.unpack_from("=2I", side_data(out, "CONTENT_LIGHT_LEVEL")) == (1000, 400)
    assert not any("brightness" in text for text in seen.messages)


def test_ffprobe_reads_the_brightness_of_a_file_that_we_wrote(tmp_path: Path) -> None:
    made = source(tmp_path / "in.mkv", more=f":master-display={SCREEN}:max-cll=1000,400")
    write_video(open_video(made), tmp_path / "out.mp4", VideoWriteSettings("hevc", "mp4", 10), Seen())
    found = {one["side_data_type"]: one for one in ffprobe(tmp_path / "out.mp4")["frames"][0]["side_data_list"]}
    assert Fraction(found["Mastering display metadata"]["max_luminance"]) == 1000
    assert found["Content light level metadata"]["max_content"] == 1000


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_hlg_stays_hlg(tmp_path: Path, codec: Any) -> None:
    write_video(
        open_video(source(tmp_path / "in.mkv", "arib-std-b67")),
        tmp_path / "o.mp4",
        VideoWriteSettings(codec, "mp4", 10),
        Seen(),
    )
    (stream,) = ffprobe(tmp_path / "o.mp4")["streams"]
    assert (stream["color_transfer"], stream["color_primaries"]) == ("arib-std-b67", "bt2020")


def test_its_codes_are_the_sources(tmp_path: Path) -> None:
    """No tone curve is applied: without loss, 10 bits stay the same, to a code."""
    made = source(tmp_path / "in.mkv")
    write_video(open_video(made), tmp_path / "o.mkv", VideoWriteSettings("ffv1", "mkv", 10, "4:2:0"), Seen())

    def luma(path: Path) -> np.ndarray:
        with av.open(str(path)) as container:
            plane = next(container.decode(video=0)).planes[0]
            return np.frombuffer(plane, np.uint16).reshape(plane.height, -1)[:, : plane.width].astype(int)

    assert int(np.abs(luma(made) - luma(tmp_path / "o.mkv")).max()) <= 1


def test_eight_bits_are_refused_and_codecs_without_hdr_metadata_are_reported(tmp_path: Path) -> None:
    hdr = open_video(source(tmp_path / "in.mkv", more=f":master-display={SCREEN}"))
    with pytest.raises(OutputError, match="HDR video"):
        write_video(hdr, tmp_path / "o.mp4", VideoWriteSettings("hevc", "mp4", 8), Seen())
    seen = Seen()
    write_video(hdr, tmp_path / "o.mov", VideoWriteSettings("prores", "mov", 10), seen)
    assert any("does not write HDR10 brightness metadata" in text for text in seen.messages)


def hdr10_plus() -> bytes:
    """Return a prefix SEI message of SMPTE ST 2094-40: one window, and zero for every field that may be zero."""
    bits = f"{1:08b}" + "01" + f"{1000:027b}" + "0" + f"{0:017b}" * 3 + f"{0:017b}" + "0000" + f"{0:010b}" + "0" + "0" + "0"
    bits += "0" * (-len(bits) % 8)
    payload = bytes([0xB5, 0x00, 0x3C, 0x00, 0x01, 0x04]) + int(bits, 2).to_bytes(len(bits) // 8, "big")
    return bytes([39 << 1, 1, 4, len(payload)]) + _escaped(payload) + b"\x80"


def _escaped(payload: bytes) -> bytes:
    """H.265, 7.4.2: no start code may appear inside."""
    out = bytearray()
    for byte in payload:
        if byte <= 3 and out[-2:] == b"\0\0":
            out.append(3)
        out.append(byte)
    return bytes(out)


def test_dynamic_metadata_is_left_out_with_a_message(tmp_path: Path) -> None:
    source(tmp_path / "plain.hevc")
    stream = (tmp_path / "plain.hevc").read_bytes()
    parts = stream.split(b"\0\0\1")
    first = next(index for index, part in enumerate(parts) if part and part[0] >> 1 in (19, 20, 21))
    parts.insert(first, hdr10_plus())
    (tmp_path / "plus.hevc").write_bytes(b"\0\0\1".join(parts))
    said: list[str] = []
    video_ = open_video(tmp_path / "plus.hevc", on_message=said.append)
    (sentence,) = [text for text in said if "HDR10+" in text]
    assert sentence.startswith("plus.hevc carries HDR10+")
    write_video(video_, tmp_path / "o.mp4", VideoWriteSettings("hevc", "mp4", 10), Seen())
    assert side_data(tmp_path / "o.mp4", "DYNAMIC_HDR_PLUS") is None
    assert ffprobe(tmp_path / "o.mp4")["streams"][0]["color_transfer"] == "smpte2084"


def test_a_video_saved_by_comfyuis_node_keeps_ten_bits(tmp_path: Path) -> None:
    from upscale8k.runtime.comfyui.types.video import open_video_value
    from upscale8k.runtime.progress import SilentProgress

    made = source(tmp_path / "in.mkv")
    value = open_video_value(made, lambda total, unit: SilentProgress(), 0.0, 0.0, None, 1, "refuse")
    value.save_to(str(tmp_path / "o.mp4"))
    (stream,) = ffprobe(tmp_path / "o.mp4")["streams"]
    assert (stream["pix_fmt"], stream["color_transfer"]) == ("yuv420p10le", "smpte2084")


def test_sdr_has_no_hdr_metadata(tmp_path: Path) -> None:
    seen = Seen()
    write_video(video(3, color=ColorInfo()), tmp_path / "o.mp4", VideoWriteSettings("hevc", "mp4", 10), seen)
    assert not any("HDR" in text for text in seen.messages)
    assert side_data(tmp_path / "o.mp4", "MASTERING_DISPLAY_METADATA") is None
