"""The copy that plays on the node: only where browsers need it, small, and with the times of the video."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from upscale8k.runtime.video.write.browser_proxy import write_browser_proxy


def make_video(path: Path, codec: str, pixel_format: str, times: list[int]) -> list[np.ndarray]:
    """A grey ramp that brightens, 2000x100, at the given thousandths of a second."""
    frames = [np.full((100, 2000, 3), 40 * number, np.uint8) for number in range(len(times))]
    with av.open(str(path), "w") as container:
        track = container.add_stream(codec, rate=25)
        track.width, track.height, track.pix_fmt = 2000, 100, pixel_format
        track.codec_context.time_base = Fraction(1, 1000)
        for pixels, time in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return frames


@pytest.mark.parametrize(("name", "codec", "pixels"), [("a.mkv", "ffv1", "yuv444p"), ("a.mp4", "libx265", "yuv420p10le")])
def test_what_browsers_do_not_play_is_copied_small_with_its_times(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    times = [0, 40, 130, 170, 250]
    frames = make_video(tmp_path / name, codec, pixels, times)
    assert write_browser_proxy(tmp_path / name, tmp_path / "copy.webm")
    with av.open(str(tmp_path / "copy.webm")) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context
        assert (codec.codec.canonical_name, codec.pix_fmt, stream.width, stream.height) == ("vp9", "yuv420p", 1280, 64)
        decoded = list(container.decode(stream))
    assert [round(frame.time * 1000) for frame in decoded] == times
    means = [frame.to_ndarray(format="rgb24").mean() for frame in decoded]
    np.testing.assert_allclose(means, [frame.mean() for frame in frames], atol=3)


def test_what_browsers_play_is_not_copied(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", "libx264", "yuv420p", [0, 40])
    assert not write_browser_proxy(tmp_path / "a.mp4", tmp_path / "copy.webm")
    (tmp_path / "broken.mkv").write_bytes(b"no video")
    assert not write_browser_proxy(tmp_path / "broken.mkv", tmp_path / "copy.webm")
    assert not list(tmp_path.glob("copy*"))
