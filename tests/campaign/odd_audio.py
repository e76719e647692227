"""Files with odd sound: codecs, channel layouts, rates, times at which it begins, and damage, each for a container to write."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import numpy as np

CODECS = {
    "mkv": (
        *("pcm_s16le", "pcm_s24le", "pcm_f32le", "flac", "libopus", "vorbis", "ac3", "eac3", "mp2", "libmp3lame"),
        *("aac", "truehd", "dca", "alac", "wavpack", "tta"),
    ),
    "mov": ("pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_f32le", "pcm_u8", "alac", "aac"),
    "avi": ("pcm_s16le", "pcm_u8", "pcm_alaw", "libmp3lame", "ac3", "adpcm_ms"),
    "mp4": ("aac", "ac3", "alac", "flac", "libopus"),
    "ts": ("mp2", "ac3", "aac", "libopus"),
}
LAYOUTS = (
    *("mono", "stereo", "2.1", "3.0", "quad", "4.0", "5.0", "5.1", "6.1", "7.1", "7.1(wide)"),
    *("hexagonal", "octagonal", "hexadecagonal", "22.2"),
)
RATES = (48000, 44100, 8000, 22050, 96000, 192000)
DAMAGES = ("none", "none", "order", "bytes", "hole", "end")
_SECONDS = Fraction(4, 5)
_NATIVE_7_1, _TAG_OF_QUICKTIME = bytes.fromhex("000100000000063f"), bytes.fromhex("0080000800000000")


@dataclass(frozen=True)
class AudioCase:
    suffix: str
    codec: str
    layout: str
    rate: int
    begin: Fraction
    """Seconds after the video."""
    damage: str
    target: str
    """Container of the result."""

    def __str__(self) -> str:
        return (
            f"{self.codec} {self.layout} {self.rate} Hz in {self.suffix}, {self.damage}, begins {self.begin} -> {self.target}"
        )


def iterate_cases(chance: random.Random) -> Iterator[AudioCase]:
    """Yield every codec, layout and rate in a random order; begin, damage and target are drawn for each."""
    pairs = [(suffix, codec) for suffix, codecs in CODECS.items() for codec in codecs]
    combinations = list(product(pairs, LAYOUTS, RATES))
    chance.shuffle(combinations)
    for (suffix, codec), layout, rate in combinations:
        begin = chance.choice((Fraction(0), Fraction(0), Fraction(1, 7), Fraction(1, 2)))
        damage, target = chance.choice(DAMAGES), chance.choice(("mp4", "mov", "mkv", "webm"))
        yield AudioCase(suffix, codec, layout, rate, begin, damage, target)


def make(case: AudioCase, path: Path, chance: random.Random) -> None:
    """Write the file. Raises ``ValueError`` and ``av.error.FFmpegError`` for what FFmpeg cannot write."""
    with av.open(str(path), "w", format={"mkv": "matroska", "ts": "mpegts"}.get(case.suffix, case.suffix)) as out:
        frames = out.add_stream("mpeg4", rate=5)
        frames.width = frames.height = 48
        frames.pix_fmt = "yuv420p"
        codec = av.Codec(case.codec, "w")
        sound = out.add_stream(case.codec, rate=case.rate, options={"strict": "-2"})
        sound.codec_context.layout = case.layout
        sound.codec_context.format = (codec.audio_formats or [av.AudioFormat("s16")])[0]
        for number in range(5):
            frame = av.VideoFrame(48, 48, "yuv420p")
            frame.pts = number
            out.mux(frames.encode(frame))
        out.mux(frames.encode(None))
        _fill(case, sound, out)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    if case.damage == "order" and data.count(_NATIVE_7_1) == 1:
        data[:] = data.replace(_NATIVE_7_1, _TAG_OF_QUICKTIME)
    elif case.damage == "bytes":
        for _ in range(20):
            data[chance.randrange(len(data))] = chance.randrange(256)
    elif case.damage == "hole":
        data[middle : middle + 300] = bytes(len(data[middle : middle + 300]))
    elif case.damage == "end":
        del data[len(data) * 3 // 4 :]
    path.write_bytes(data)


def _fill(case: AudioCase, sound: av.AudioStream, out: av.container.OutputContainer) -> None:
    layout = av.AudioLayout(case.layout)
    times = np.arange(int(case.rate * _SECONDS)) / case.rate
    waves = np.stack([np.sin(2 * np.pi * 220 * (1 + channel % 4) * times) for channel in range(layout.nb_channels)], axis=1)
    samples = (waves * 8000).astype(np.int16)
    context = sound.codec_context
    resampler = av.AudioResampler(context.format, layout, case.rate, frame_size=context.frame_size or 1024)
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = case.rate, int(case.begin * case.rate), Fraction(1, case.rate)
    for each in [*resampler.resample(frame), *resampler.resample(None)]:
        out.mux(sound.encode(each))
    out.mux(sound.encode(None))


def measure(path: Path) -> tuple[int, float]:
    """Return the number of channels and the seconds of sound of the first track that decode; (0, 0) without one."""
    with av.open(str(path)) as file:
        if not file.streams.audio:
            return 0, 0.0
        samples = channels = 0
        rate = 1
        for frame in file.decode(audio=0):
            samples, rate = samples + frame.samples, frame.sample_rate
            channels = (frame.format.is_planar and len(frame.planes)) or frame.to_ndarray().shape[1] // frame.samples
        return channels, samples / rate
