import json
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import psutil
import pytest
from av.sidedata.sidedata import Type
from PIL import Image
from upscale8k.runtime.comfyui.builtin.video import VideoFromFile
from upscale8k.runtime.errors import MediaError
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.media.video_stream import ColorInfo, MasteringDisplay
from upscale8k.runtime.video.read.container import open_container
from upscale8k.runtime.video.read.probe import is_interlaced, read_video_info
from upscale8k.runtime.video.read.side_data import read_side_data
from upscale8k.runtime.video.read.video_reader import open_video

from ..clips import TRANSFERS, image, numbered, overwrite, packets, shorten, write
from ..helpers import make_source

H264 = {"preset": "ultrafast", "qp": "0"}
needs_ffprobe = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")


def ffprobe(path: Path) -> dict[str, Any]:
    show = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_streams", "-of", "json", str(path)]
    return json.loads(subprocess.run(show, capture_output=True, text=True, check=True).stdout)["streams"][0]


def gray(width: int, height: int, pixel_format: str = "yuv420p") -> av.VideoFrame:
    scale = 4 if "10" in pixel_format else 1
    chroma = np.full((-(-height // 2), -(-width // 2)), 128 * scale)
    return image([np.full((height, width), 120 * scale), chroma, chroma], pixel_format)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "avi"])
def test_a_video_is_described(tmp_path: Path, suffix: str) -> None:
    video = write(
        tmp_path / f"a.{suffix}",
        numbered(30, 66, 50),
        codec="libx264",
        options=H264 | {"bf": "0"},
        sound=None if suffix == "mp4" else "pcm_s16le",
    )
    info = read_video_info(video)
    assert info.size == Size(66, 50)
    assert info.frame_rate == 25
    assert info.frame_count == 30
    assert info.frame_count_source == ("duration" if suffix == "mkv" else "header")
    assert info.duration is not None
    assert abs(info.duration - Fraction(30, 25)) < Fraction(1, 100)
    assert info.bit_depth == 8
    assert info.audio_streams == (suffix != "mp4")
    assert info.source == video


@needs_ffprobe
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_it_agrees_with_ffprobe(tmp_path: Path, suffix: str) -> None:
    frames = [gray(64, 48, "yuv420p10le") for _ in range(10)]
    tags = {"matrix": "bt2020nc", "range": "tv", "transfer": "smpte2084", "primaries": "bt2020"}
    options = {"preset": "ultrafast", "x265-params": "log-level=none"}
    video = write(tmp_path / f"a.{suffix}", frames, codec="libx265", options=options, rate=Fraction(24000, 1001), tags=tags)
    said, info = ffprobe(video), read_video_info(video)
    assert (info.size.width, info.size.height) == (said["width"], said["height"])
    assert info.frame_rate == Fraction(said["avg_frame_rate"])
    assert info.time_base == Fraction(said["time_base"])
    color = info.color
    assert (color.matrix, color.range) == (said["color_space"], said["color_range"])
    assert (color.transfer, color.primaries) == (said["color_transfer"], said["color_primaries"])
    assert color.guessed_fields == ()
    assert color.is_hdr
    assert info.bit_depth == 10


def test_hdr10_metadata_is_read(tmp_path: Path) -> None:
    """The values of a P3 display of 1000 cd/m2, in x265's units of 0.00002 and 0.0001 cd/m2."""
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    options = {"preset": "ultrafast", "x265-params": f"log-level=none:master-display={display}:max-cll=900,400"}
    info = read_video_info(write(tmp_path / "a.mkv", [gray(64, 64, "yuv420p10le")], codec="libx265", options=options))
    assert info.mastering_display == MasteringDisplay(
        red=(Fraction(34000, 50000), Fraction(16000, 50000)),
        green=(Fraction(13250, 50000), Fraction(34500, 50000)),
        blue=(Fraction(7500, 50000), Fraction(3000, 50000)),
        white=(Fraction(15635, 50000), Fraction(16450, 50000)),
        min_luminance=Fraction(50, 10000),
        max_luminance=Fraction(1000),
    )
    assert info.content_light == (900, 400)
    plain = read_video_info(write(tmp_path / "b.mkv", [gray(64, 64)]))
    assert plain.mastering_display is plain.content_light is None


class TypedBytes(bytes):
    type: Type

    def __new__(cls, kind: Type, data: bytes) -> "TypedBytes":
        made = super().__new__(cls, data)
        made.type = kind
        return made


class EachVersionsSideData(dict[Type, bytes]):
    """PyAV 18 iterates over the data, which know their types; PyAV 19 over the types."""

    def __init__(self, found: dict[Type, bytes], version: int) -> None:
        super().__init__(found)
        self.version = version

    def __iter__(self) -> Iterator[Any]:
        return iter([TypedBytes(kind, data) for kind, data in self.items()] if self.version == 18 else self.keys())


@pytest.mark.parametrize("version", [18, 19])
def test_side_data_is_read_with_each_version_of_pyav(version: int) -> None:
    found = EachVersionsSideData({Type.ICC_PROFILE: b"profile", Type.DISPLAYMATRIX: b"matrix"}, version)
    frame: Any = SimpleNamespace(side_data=found)
    assert read_side_data(frame) == {"ICC_PROFILE": b"profile", "DISPLAYMATRIX": b"matrix"}


@pytest.mark.parametrize("transfer", sorted(TRANSFERS))
def test_every_tag_is_read_by_its_name(tmp_path: Path, transfer: str) -> None:
    tags = {"matrix": "bt709", "range": "pc", "transfer": transfer, "primaries": "bt709"}
    assert read_video_info(write(tmp_path / "a.mkv", [gray(32, 32)], tags=tags)).color == ColorInfo(
        "bt709", "pc", transfer, "bt709"
    )


@pytest.mark.parametrize(
    ("width", "height", "matrix", "primaries"),
    [
        (720, 480, "smpte170m", "smpte170m"),
        (720, 576, "bt470bg", "bt470bg"),
        (1280, 534, "bt709", "bt709"),
        (960, 720, "bt709", "bt709"),
        (3840, 2160, "bt709", "bt709"),
    ],
)
def test_untagged_videos_follow_the_usual_rule_and_list_the_guesses(
    tmp_path: Path, width: int, height: int, matrix: str, primaries: str
) -> None:
    color = read_video_info(write(tmp_path / "a.mkv", [gray(width, height)])).color
    assert (color.matrix, color.primaries, color.range) == (matrix, primaries, "tv")
    assert set(color.guessed_fields) == {"matrix", "primaries", "range", "transfer"}


def test_wide_primaries_mean_the_wide_matrix(tmp_path: Path) -> None:
    color = read_video_info(write(tmp_path / "a.mkv", [gray(64, 64)], tags={"primaries": "bt2020"})).color
    assert color.matrix == "bt2020nc"
    assert "matrix" in color.guessed_fields
    assert "primaries" not in color.guessed_fields


def test_motion_jpeg_is_full_range_bt_601_whatever_its_size(tmp_path: Path) -> None:
    video = write(tmp_path / "a.avi", [gray(1280, 720, "yuvj420p")], codec="mjpeg")
    color = read_video_info(video).color
    assert (color.matrix, color.range) == ("bt470bg", "pc")


def test_the_aspect_ratio_of_pixels_is_read(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mp4", [gray(720, 576)], codec="libx264", options=H264, aspect=Fraction(64, 45))
    assert read_video_info(video).pixel_aspect == Fraction(64, 45)
    assert read_video_info(video).size == Size(720, 576)


@pytest.mark.parametrize(("degrees", "size"), [(0, (64, 48)), (90, (48, 64)), (180, (64, 48)), (-90, (48, 64))])
def test_the_size_is_that_of_the_rotated_frame(tmp_path: Path, degrees: int, size: tuple[int, int]) -> None:
    video = write(tmp_path / "a.mp4", [gray(64, 48)], codec="libx264", options=H264, rotation=degrees, aspect=Fraction(4, 3))
    info = read_video_info(video)
    assert (info.size.width, info.size.height) == size
    assert info.pixel_aspect == (Fraction(3, 4) if degrees in (90, -90) else Fraction(4, 3))


def test_the_fingerprint_follows_the_bytes_and_not_the_date(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mkv", numbered(3))
    first = read_video_info(video).identity
    os.utime(video, (1, 1))
    copy = shutil.copy(video, tmp_path / "b.mkv")
    assert read_video_info(video).identity == read_video_info(Path(copy)).identity == first
    changed = write(tmp_path / "c.mkv", numbered(4))
    assert read_video_info(changed).identity != first


def test_interlaced_videos_are_known(tmp_path: Path) -> None:
    fields = {"flags": "+ildct+ilme", "preset": "ultrafast", "x264-params": "tff=1"}
    assert is_interlaced(write(tmp_path / "i.mkv", numbered(10), codec="libx264", options=fields))
    assert not is_interlaced(write(tmp_path / "p.mkv", numbered(10), codec="libx264", options=H264))


def test_interlacing_that_begins_later_is_found(tmp_path: Path) -> None:
    plain = write(tmp_path / "p.ts", numbered(50), codec="mpeg2video", options={"b": "2M", "g": "5"}, format_="mpegts")
    fields = {"flags": "+ildct+ilme", "b": "2M", "g": "5"}
    later = list(range(50, 100))
    woven = write(tmp_path / "i.ts", numbered(50), codec="mpeg2video", options=fields, format_="mpegts", pts=later)
    video = tmp_path / "both.ts"
    video.write_bytes(plain.read_bytes() + woven.read_bytes())
    assert is_interlaced(video)


# Files that are not videos. Each message names the file and a next step.


def refusal(path: Path) -> str:
    with pytest.raises(MediaError) as caught:
        read_video_info(path)
    assert caught.value.hint
    assert caught.value.path == path
    return caught.value.what


def test_a_missing_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.mp4") == f"There is no file {tmp_path / 'no.mp4'}."


def test_a_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path} is a folder, not a video."


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    assert refusal(tmp_path / "a.mp4") == "a.mp4 is empty (0 bytes)."


@pytest.mark.parametrize(
    "text",
    ["Not a video at all.\n" * 30, "x", "Straße\n" * 700, "x" * 4091 + "é" * 50, "x" * 4095 + "é" * 50, "\x1b[31mcolored\n"],
)
def test_a_text_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.mp4").write_text(text, encoding="utf-8")
    assert refusal(tmp_path / "a.mp4") == "a.mp4 is a text file, not a video."


HLS = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:1.0,\n{}\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    "playlist", ["#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mkv\n", "ffconcat version 1.0\nfile secret.mkv\n"]
)
def test_a_playlist_opens_no_other_file(tmp_path: Path, playlist: str) -> None:
    write(tmp_path / "secret.mkv", numbered(2))
    (tmp_path / "a.mp4").write_text(playlist)
    assert refusal(tmp_path / "a.mp4") == "a.mp4 is a text file, not a video."


@pytest.mark.parametrize("name", ["list.m3u8", "video.mp4"])
@pytest.mark.parametrize("in_memory", [False, True], ids=["file", "memory"])
@pytest.mark.parametrize("playlist", [HLS, "ffconcat version 1.0\nfile '{}'\n"], ids=["hls", "concat"])
def test_a_playlist_opens_no_other_video_for_comfyuis_nodes_either(
    tmp_path: Path, playlist: str, name: str, *, in_memory: bool
) -> None:
    secret = make_source(tmp_path / "secret.ts", sound="mp2", text=None)
    assert VideoFromFile(secret).get_dimensions() == (64, 48)
    (tmp_path / "input").mkdir()
    for place in ("../secret.ts", str(secret), secret.as_uri()):
        path = tmp_path / "input" / name
        path.write_text(playlist.format(place))
        with pytest.raises(MediaError, match="cannot be read"):
            VideoFromFile(BytesIO(path.read_bytes()) if in_memory else path).get_dimensions()


@pytest.mark.parametrize(
    ("suffix", "name"), [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WebP"), ("tif", "TIFF"), ("bmp", "BMP")]
)
def test_an_image(tmp_path: Path, suffix: str, name: str) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / f"a.{suffix}")
    assert refusal(tmp_path / f"a.{suffix}") == f"a.{suffix} is an image ({name}), not a video."


@pytest.mark.parametrize("length", range(4, 13))
def test_the_first_bytes_of_an_avi(tmp_path: Path, length: int) -> None:
    (tmp_path / "a.avi").write_bytes(b"RIFF\x10\0\0\0AVI "[:length])
    assert refusal(tmp_path / "a.avi").startswith(("a.avi is ", "a.avi cannot be read as a video"))


def test_random_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(np.random.default_rng(0).bytes(5000))
    assert refusal(tmp_path / "a.mkv").startswith("a.mkv cannot be read as a video")


def test_sound_alone(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        stream = out.add_stream("aac", rate=48000, layout="mono")
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        tone.sample_rate = 48000
        out.mux(stream.encode(tone))
        out.mux(stream.encode(None))
    assert refusal(tmp_path / "a.mp4") == "a.mp4 contains audio but no video."


@pytest.mark.parametrize("part", [0.1, 0.5, 0.97])
@pytest.mark.parametrize(
    ("suffix", "options"), [("mp4", {"movflags": "faststart"}), ("mp4", {}), ("mkv", {}), ("avi", {}), ("mov", {})]
)
def test_a_truncated_file(tmp_path: Path, suffix: str, options: dict[str, str], part: float) -> None:
    video = write(tmp_path / f"a.{suffix}", numbered(200), codec="mpeg4", container_options=options)
    shorten(video, int(video.stat().st_size * part))
    assert refusal(video).startswith(f"a.{suffix} is truncated")


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm", "mov", "avi", "ts"])
def test_a_whole_file_is_not_called_truncated(tmp_path: Path, suffix: str) -> None:
    codec = "libvpx" if suffix == "webm" else "mpeg2video" if suffix == "ts" else "libx264"
    assert read_video_info(write(tmp_path / f"a.{suffix}", numbered(20), codec=codec)).size == Size(64, 48)


def test_a_live_recording_of_unknown_length_is_complete(tmp_path: Path) -> None:
    live = write(tmp_path / "a.mkv", numbered(20), container_options={"live": "1"})
    assert read_video_info(live).frame_count_source in ("unknown", "duration")
    fragments = {"movflags": "frag_keyframe+empty_moov"}
    assert read_video_info(write(tmp_path / "a.mp4", numbered(20), codec="libx264", container_options=fragments)).size == Size(
        64, 48
    )


def test_a_protected_file(tmp_path: Path) -> None:
    key = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "00" * 16, "encryption_kid": "11" * 16}
    video = write(tmp_path / "a.mp4", numbered(3), codec="libx264", container_options=key)
    assert refusal(video) == "a.mp4 is encrypted (copy protection)."


def test_an_unknown_codec(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mp4", numbered(3), codec="libx264")
    video.write_bytes(video.read_bytes().replace(b"avc1\0\0\0\0\0\0\0\x01", b"zz9x\0\0\0\0\0\0\0\x01"))
    assert refusal(video) == "a.mp4: FFmpeg has no decoder for its video codec."


def test_a_video_of_which_nothing_decodes(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mp4", numbered(3), codec="libx264")
    for _, place, size in packets(video):
        overwrite(video, place, b"\xff" * size)
    assert refusal(video) == "a.mp4: none of its frames can be decoded (h264)."


def test_a_wrong_ending_does_not_matter(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mkv", numbered(3)).rename(tmp_path / "a.jpg")
    assert read_video_info(video).frame_count == 3


def test_tags_that_are_not_unicode_are_read(tmp_path: Path) -> None:
    video = write(tmp_path / "a.avi", numbered(3), codec="mpeg4")
    data = video.read_bytes()
    at = data.index(b"ISFT")
    length = struct.unpack_from("<I", data, at + 4)[0]
    overwrite(video, at + 8, b"M\xfcnchen\0".ljust(length, b"\0"))
    assert read_video_info(video).frame_count == 3


def test_no_file_stays_open(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mkv", numbered(3))
    read_video_info(video)
    with pytest.raises(MediaError):
        read_video_info(tmp_path)
    assert not [file for file in psutil.Process().open_files() if Path(file.path) == video]


def test_a_name_that_looks_like_an_address_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "http:").mkdir()
    video = write(tmp_path / "a.mkv", numbered(2)).rename(tmp_path / "http:" / "a.mkv")
    with open_container(Path("http:/a.mkv")) as container:
        assert container.name == str(video)


def test_a_cameras_jpegs_with_exif_are_read(tmp_path: Path) -> None:
    """FFmpeg returns EXIF as side data of a kind that PyAV 18 has no name for, which makes it fail."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Camera", 6
    jpeg = BytesIO()
    Image.new("RGB", (64, 48), (200, 40, 40)).save(jpeg, "JPEG", exif=exif)
    video = tmp_path / "a.avi"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number in range(5):
            packet = av.Packet(jpeg.getvalue())
            packet.pts = packet.dts = number
            packet.stream = stream
            container.mux(packet)
    assert read_video_info(video).size == Size(48, 64)
    assert len(list(open_video(video).open())) == 5
