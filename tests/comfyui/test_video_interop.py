"""Videos in the real ComfyUI: its VIDEO through our nodes, ours through its nodes, the bar and preview, the file dropped."""

import base64
import json
import os
import socket
import struct
import time
import uuid
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import av
import numpy as np
import pytest

from .peer.canvas import Canvas
from .peer.server import ComfyUI, Json, NodeFailed

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]

FRAMES = [np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8) for number in range(6)]
EXACT: Json = {"codec": "ffv1", "container": "mkv", "chroma": "4:4:4", "bit_depth": "8"}
MODEL: Json = {"class_type": "UpscaleModel", "inputs": {"model": "realesr-animevideov3"}}


def upscaled(video: list[Any], target: str = "4x") -> Json:
    """By the backend that repeats pixels, so that every result is known."""
    inputs = {"video": video, "upscale_model": ["model", 0], "target": target, "backend": "null"}
    return {"class_type": "TiledUpscaleVideo", "inputs": inputs}


def node(class_type: str, **inputs: Any) -> Json:
    return {"class_type": class_type, "inputs": inputs}


@pytest.fixture
def peer(comfyui: ComfyUI) -> ComfyUI:
    """The server with video.mkv: noise without loss, with a second of sound."""
    with av.open(str(comfyui.input / "video.mkv"), "w") as out:
        stream = out.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "bgr0"
        sound = out.add_stream("aac", rate=48000, layout="mono")
        for number, pixels in enumerate(FRAMES):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="bgr0")
            frame.pts, frame.time_base = number, Fraction(1, 24)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 12000), np.float32), format="fltp", layout="mono")
        tone.sample_rate, tone.pts = 48000, 0
        out.mux(sound.encode(tone))
        out.mux(sound.encode(None))
    return comfyui


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as video:
        return [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]


def four_times(pixels: np.ndarray) -> np.ndarray:
    return pixels.repeat(4, axis=0).repeat(4, axis=1)


def only_file(folder: Path) -> Path:
    (path,) = [path for path in folder.rglob("*") if path.is_file()]
    return path


def test_comfyuis_loaded_video_goes_through_ours_exactly(peer: ComfyUI) -> None:
    prompt = {
        "load": node("LoadVideo", file="video.mkv"),
        "model": MODEL,
        "up": upscaled(["load", 0]),
        "out": node("VideoOut", video=["up", 0], filename_prefix="o", **EXACT),
    }
    peer.queue(prompt)
    for after, before in zip(decoded(peer.output / "o_00001_.mkv"), FRAMES, strict=True):
        np.testing.assert_array_equal(after, four_times(before))
    prompt["load"] = node("VideoIn", video="video.mkv")
    for workers in ("", "2"):
        prompt["out"]["inputs"] |= {"filename_prefix": f"w{workers}", "workers": workers}
        peer.queue(prompt)
    one, two = (decoded(peer.output / f"{name}_00001_.mkv") for name in ("w", "w2"))
    np.testing.assert_array_equal(two, one)
    assert not list(peer.output.glob("*.parts"))


def test_comfyuis_slice_of_a_video_goes_through_ours(peer: ComfyUI) -> None:
    prompt = {
        "load": node("LoadVideo", file="video.mkv"),
        "cut": node("Video Slice", video=["load", 0], start_time=2 / 24, duration=3 / 24, strict_duration=False),
        "out": node("VideoOut", video=["cut", 0], filename_prefix="o", **EXACT),
    }
    peer.queue(prompt)
    assert len(decoded(peer.output / "o_00001_.mkv")) == 3


def test_comfyuis_images_become_our_video_without_being_encoded_between(peer: ComfyUI) -> None:
    prompt = {
        "load": node("LoadVideo", file="video.mkv"),
        "parts": node("GetVideoComponents", video=["load", 0]),
        "made": node("CreateVideo", images=["parts", 0], fps=24.0, audio=["parts", 1]),
        "model": MODEL,
        "up": upscaled(["made", 0]),
        "out": node("VideoOut", video=["up", 0], filename_prefix="o", **EXACT),
    }
    peer.queue(prompt)
    for after, before in zip(decoded(peer.output / "o_00001_.mkv"), FRAMES, strict=True):
        assert int(np.abs(after.astype(int) - four_times(before).astype(int)).max()) <= 1  # ComfyUI's floats are that far off
    with av.open(str(peer.output / "o_00001_.mkv")) as video:
        assert video.streams.audio


def test_our_video_goes_through_comfyuis_slice_components_and_save(peer: ComfyUI) -> None:
    prompt = {
        "in": node("VideoIn", video="video.mkv"),
        "model": MODEL,
        "up": upscaled(["in", 0]),
        "cut": node("Video Slice", video=["up", 0], start_time=2 / 24, duration=3 / 24, strict_duration=True),
        "save": node("SaveVideo", **{"video": ["cut", 0], "filename_prefix": "s", "format": "auto", "codec": "auto"}),
        "parts": node("GetVideoComponents", video=["cut", 0]),
        "images": node("SaveImage", images=["parts", 0], filename_prefix="i"),
    }
    peer.queue(prompt)
    saved = decoded(peer.output / "s_00001_.mp4")
    assert [image.shape for image in saved] == [(96, 128, 3)] * 3
    with av.open(str(peer.output / "s_00001_.mp4")) as video:
        assert json.loads(video.metadata["prompt"])["up"]["class_type"] == "TiledUpscaleVideo"
    images = [decoded(path)[0] for path in sorted(peer.output.glob("i_*.png"))]
    for after, before in zip(images, FRAMES[2:5], strict=True):
        assert int(np.abs(after.astype(int) - four_times(before).astype(int)).max()) <= 1  # SaveImage cuts


def test_what_does_not_fit_in_memory_is_refused_with_what_to_use_instead(peer: ComfyUI) -> None:
    with av.open(str(peer.input / "long.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((240, 320, 3), np.uint8), format="rgb24")
        for number in range(800):
            frame.pts, frame.time_base = number, Fraction(1, 24)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    prompt = {
        "in": node("VideoIn", video="long.mp4"),
        "model": MODEL,
        "up": upscaled(["in", 0], "16K"),
        "parts": node("GetVideoComponents", video=["up", 0]),
        "images": node("SaveImage", images=["parts", 0], filename_prefix="i"),
    }
    with pytest.raises(NodeFailed, match=r"800 frames of 11520x8640 take 955\.5 GB as IMAGE.*Tiled Upscale Video"):
        peer.queue(prompt)


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_a_video_dropped_on_the_canvas_gives_its_graph_back(peer: ComfyUI, canvas: Canvas, container: str) -> None:
    """What the frontend reads workflows from: MP4 and WebM."""
    canvas.refresh()
    video = canvas.add("VideoIn", {"video": "video.mkv"}, title="The source", pos=[100, 200])
    codec = {"mp4": "h264", "webm": "vp9"}[container]
    values = {"filename_prefix": "drop", "container": container, "codec": codec, "bit_depth": "8"}
    out = canvas.add("VideoOut", values, pos=[500, 200])
    canvas.connect(video, "video", out, "video")
    drawn = canvas.save()
    entry = canvas.queue()
    assert entry["outputs"][str(out)]["images"] == [{"filename": f"drop_00001_.{container}", "subfolder": "", "type": "output"}]
    canvas.load({"version": 0.4, "nodes": [], "links": []})
    canvas.drop(peer.output / f"drop_00001_.{container}")
    dropped = canvas.save()
    before, after = ([(one["type"], one.get("title")) for one in graph["nodes"]] for graph in (drawn, dropped))
    assert after == before
    assert dropped["links"] == drawn["links"]


def test_the_node_that_writes_shows_a_bar_and_images_of_what_it_writes(peer: ComfyUI) -> None:
    prompt = {
        "in": node("VideoIn", video="video.mkv"),
        "model": MODEL,
        "up": upscaled(["in", 0], "256x192"),
        "out": node("VideoOut", video=["up", 0], filename_prefix="o", codec="h264", bit_depth="8"),
    }
    with _Listener(peer.url) as heard:
        peer.wait(heard.submit(prompt))
    bars = [said["data"]["nodes"] for said in heard.messages if said["type"] == "progress_state"]
    values = [nodes["out"]["value"] for nodes in bars if "out" in nodes]
    assert values == sorted(values)
    # ComfyUI passes on the first step, the last one, and between them at most ten a second.
    assert values[0] < values[-1] >= len(FRAMES)  # this video has no count in its header
    assert heard.images
    assert all(jpeg.startswith(b"\xff\xd8\xff") for jpeg in heard.images)


class _Listener:
    """A page's connection to the server: what it is told, and the JPEG images it is sent."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.client_id = uuid.uuid4().hex
        self.messages: list[Json] = []
        self.images: list[bytes] = []
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname, address.port), timeout=30)
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET /ws?clientId={self.client_id} HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._file = self._socket.makefile("rb")
        while self._file.readline() not in (b"\r\n", b""):
            pass
        self._thread = Thread(target=self._listen, daemon=True)

    def submit(self, prompt: Json) -> str:
        """Queue a prompt as this page; its id."""
        body = json.dumps({"prompt": prompt, "client_id": self.client_id}).encode()
        request = Request(f"{self._url}/prompt", body, {"Content-Type": "application/json"})
        with build_opener(ProxyHandler({})).open(request, timeout=60) as answer:
            return json.loads(answer.read())["prompt_id"]

    def __enter__(self) -> "_Listener":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        deadline = time.monotonic() + 20
        while not any(said["type"] == "execution_success" for said in self.messages) and time.monotonic() < deadline:
            time.sleep(0.05)
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._file.close()
        self._socket.close()

    def _listen(self) -> None:
        for code, data in self._frames():
            if code == 1:
                self.messages.append(json.loads(data))
            elif code == 2 and struct.unpack_from(">I", data)[0] == 1:  # PREVIEW_IMAGE: its format, then the image
                self.images.append(data[8:])

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        """RFC 6455, section 5.2: a server does not mask, and this one does not split."""
        while len(head := self._file.read(2)) == 2:
            length = head[1] & 127
            if length >= 126:
                length = int.from_bytes(self._file.read(2 if length == 126 else 8), "big")
            yield head[0] & 15, self._file.read(length)
