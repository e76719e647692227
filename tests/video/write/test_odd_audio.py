"""Sound that few files have: many channels, orders of their own, short packets, and codecs that a container rejects late."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from upscale8k.runtime.comfyui.builtin.video import VideoFromFile
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.video.read.container import demux_packets
from upscale8k.runtime.video.write import stream_copy
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from ..helpers import Seen, packets, video

SETTINGS = VideoWriteSettings("h264", "mp4", 8, preset="ultrafast")


def make_sound(path: Path, codec: str, layout: str, *, seconds: int = 2, sample_format: str = "s16") -> Path:
    """Write a video of 48x48 with a tone of 220 Hz times the channel's number in each channel."""
    with av.open(str(path), "w") as out:
        frames = out.add_stream("mpeg4", rate=5)
        frames.width = frames.height = 48
        frames.pix_fmt = "yuv420p"
        sound = out.add_stream(codec, rate=48000)
        sound.codec_context.layout, sound.codec_context.format = layout, sample_format
        for number in range(5 * seconds):
            frame = av.VideoFrame(48, 48, "yuv420p")
            frame.pts = number
            out.mux(frames.encode(frame))
        out.mux(frames.encode(None))
        channels = av.AudioLayout(layout).nb_channels
        times = np.arange(48000 * seconds) / 48000
        waves = np.stack([np.sin(2 * np.pi * 220 * (channel + 1) * times) for channel in range(channels)], axis=1)
        samples = (waves * 8000).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
        frame.sample_rate, frame.pts = 48000, 0
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return path


def make_custom_order(path: Path) -> Path:
    """Write eight channels of PCM in the order L R C LFE Ls Rs Rls Rrs (layout tag 128 << 16 | 8), as FFmpeg 5 does."""
    data = make_sound(path, "pcm_s16le", "7.1").read_bytes()
    native, tagged = bytes.fromhex("000100000000063f"), bytes.fromhex("0080000800000000")
    assert data.count(native) == 1
    path.write_bytes(data.replace(native, tagged))
    return path


def write(source: Path, path: Path) -> Seen:
    seen, container = Seen(), path.suffix[1:]
    settings = replace(SETTINGS, container=container, codec="vp9" if container == "webm" else "h264", preset="")
    write_video(video(10, source=source, audio_streams=1), path, settings, seen)
    return seen


def count_channels(path: Path) -> int:
    with av.open(str(path)) as file:
        return next(len(frame.layout.channels) for frame in file.decode(audio=0))


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv"])
def test_eight_channels_of_pcm_in_mov_are_copied(tmp_path: Path, container: str) -> None:
    """FFmpeg reads them in an order of its own, whose map PyAV 18 frees twice: the process ended by SIGABRT."""
    source = make_custom_order(tmp_path / "in.mov")
    for _ in range(5):
        seen = write(source, tmp_path / f"o.{container}")
    before, after = packets(source, "audio"), packets(tmp_path / f"o.{container}", "audio")
    assert b"".join(data for _, data in after) == b"".join(data for _, data in before)
    assert any("an order that" in text for text in seen.messages) == (container != "mov")


def test_eight_channels_of_pcm_in_mov_are_encoded_again_for_webm(tmp_path: Path) -> None:
    seen = write(make_custom_order(tmp_path / "in.mov"), tmp_path / "o.webm")
    assert any("encoded again as Opus, 768 kbit/s." in text for text in seen.messages)
    assert count_channels(tmp_path / "o.webm") == 8


def test_a_video_value_with_eight_channels_is_decoded(tmp_path: Path) -> None:
    source = make_custom_order(tmp_path / "in.mov")
    for _ in range(3):
        components = VideoFromFile(str(source)).get_components()
        assert components.audio
        assert tuple(components.audio["waveform"].shape) == (1, 8, 96000)
    pitches = [float(np.abs(np.fft.rfft(channel)).argmax()) / 2 for channel in components.audio["waveform"][0].numpy()]
    assert pitches == [220, 440, 660, 880, 1540, 1760, 1100, 1320]  # stored as sides, then backs; FFmpeg's 7.1 is the other way


def test_packets_shorter_than_a_tick_keep_their_times(tmp_path: Path) -> None:
    """TrueHD: 1200 packets a second in Matroska's milliseconds. Two hours of it became 24 minutes longer."""
    source = tmp_path / "in.mkv"
    with av.open(str(make_sound(tmp_path / "in.wav.mkv", "pcm_s16le", "stereo"))) as template, av.open(str(source), "w") as out:
        stream = out.add_stream_from_template(template.streams.audio[0], opaque=True)
        for number in range(4800):
            packet = av.Packet(number.to_bytes(2, "little") * 80)
            packet.pts = packet.dts = number * 40
            packet.time_base, packet.stream = Fraction(1, 48000), stream
            out.mux(packet)
    assert packets(source, "audio")[-1][0] == Fraction(3999, 1000)
    seen = write(source, tmp_path / "o.mkv")
    before, after = packets(source, "audio"), packets(tmp_path / "o.mkv", "audio")
    assert [data for _, data in after] == [data for _, data in before]
    assert max(abs(time - expected) for (time, _), (expected, _) in zip(after, before, strict=True)) <= Fraction(1, 1000)
    assert not [text for text in seen.messages if "Track" in text]


@pytest.mark.parametrize(("layout", "channels"), [("3.0", 3), ("quad", 4), ("5.0", 5), ("6.1", 7)])
@pytest.mark.parametrize("container", ["webm", "mov"])
def test_encoding_again_keeps_every_channel(tmp_path: Path, layout: str, channels: int, container: str) -> None:
    source = make_sound(tmp_path / "in.mkv", "flac", layout, seconds=1)
    write(source, tmp_path / f"o.{container}")
    assert count_channels(tmp_path / f"o.{container}") == channels


@pytest.mark.parametrize("layout", ["3.0", "quad"])
def test_what_mp4_rejects_in_its_trailer_is_encoded_again(tmp_path: Path, layout: str) -> None:
    source = make_sound(tmp_path / "in.avi", "pcm_s16le", layout, seconds=1)
    seen = write(source, tmp_path / "o.mp4")
    assert packets(tmp_path / "o.mp4", "audio"), seen.messages


def test_sound_that_does_not_decode_is_an_error_before_the_first_frame(tmp_path: Path) -> None:
    source = make_sound(tmp_path / "in.mkv", "flac", "stereo", seconds=1)
    data = bytearray(source.read_bytes())
    for _, packet in packets(source, "audio"):
        start = data.find(packet)
        data[start : start + len(packet)] = bytes(len(packet))
    source.write_bytes(data)
    seen = Seen()
    with pytest.raises(OutputError, match=r"Audio track 1 of in\.mkv cannot be written to mov"):
        settings = replace(SETTINGS, container="mov")
        write_video(video(10, source=source, audio_streams=1), tmp_path / "o.mov", settings, seen)
    assert not seen.frames
    assert not list(tmp_path.glob("o.mov*"))


def test_pyav_failing_on_a_stream_that_appeared_on_the_way_is_the_end_of_the_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyAV 18 looks up new streams of damaged files in its old list after the last packet of the ones it knows."""

    class FailingContainer:
        def __init__(self, container: av.container.InputContainer) -> None:
            self.container = container

        def demux(self, *streams: object) -> Iterator[object]:
            yield from self.container.demux(*streams)
            raise IndexError("list index out of range")

    monkeypatch.setattr(
        stream_copy, "demux_packets", lambda opened, *streams: demux_packets(FailingContainer(opened), *streams)
    )
    source = make_sound(tmp_path / "in.mov", "pcm_s16le", "stereo")
    write(source, tmp_path / "out.mov")
    assert packets(tmp_path / "out.mov", "audio") == packets(source, "audio")
