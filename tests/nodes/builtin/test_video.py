"""ComfyUI's VIDEO and its nodes: declared as there, the same frames bit for bit, and the same files byte for byte."""

import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
import torch
from upscale8k.nodes import DISPLAY_NAMES, get_node_classes
from upscale8k.nodes.builtin import video
from upscale8k.nodes.declare import list_nodes
from upscale8k.runtime.comfyui.builtin.video import VideoComponents, VideoFromComponents, VideoFromFile, join_videos
from upscale8k.runtime.errors import MediaError, OutOfMemory, OutputError, Upscale8KError, WorkflowError
from upscale8k.runtime.graph.check import check_prompt
from upscale8k.runtime.graph.convert.converter import convert_workflow
from upscale8k.runtime.graph.definitions import describe_classes
from upscale8k.runtime.graph.execute.events import NodeFinished
from upscale8k.runtime.graph.execute.executor import execute_plan
from upscale8k.runtime.graph.execute.plan import make_plan
from upscale8k.runtime.host import LocalHost
from upscale8k.runtime.progress import SilentProgress

from ...comfyui.peer.tree import declarations, require_tree
from .core_peer import differences
from .video_questions import ask

FRAMES = 20

# core's classes are asked what ours are, in a process of its own.
CORE = """
import os, sys
from pathlib import Path
tree, folder, results, questions = sys.argv[1:5]
sys.argv = [sys.argv[0], "--cpu"]
sys.path[:0] = [tree, questions]
os.chdir(tree)
import comfy.options
comfy.options.enable_args_parsing()
import json
import numpy as np
import torch
from comfy_api.latest import InputImpl, Types
import video_questions
folder, results, arrays = Path(folder), Path(results), {}
pictures = torch.from_numpy(np.load(folder.parent / "pictures.npy"))
class AsEnum(InputImpl.VideoFromFile):
    def save_to(self, path, format="auto", **more):
        super().save_to(path, format=Types.VideoContainer(format), **more)
class MadeAsEnum(InputImpl.VideoFromComponents):
    def save_to(self, path, format="auto", **more):
        super().save_to(path, format=Types.VideoContainer(format), **more)
notes = video_questions.ask((AsEnum, MadeAsEnum, Types.VideoComponents), folder, results, arrays, pictures)
np.savez(results / "arrays.npz", **arrays)
(results / "notes.json").write_text(json.dumps(notes))
"""


# ---------------------------------------------------------------- clips


def _image(width: int, height: int, number: int) -> np.ndarray:
    """Slopes that move, and noise that stays."""
    noise = np.random.default_rng(7).integers(0, 60, (height, width, 3))
    across = np.linspace(0, 150, width)[None, :, None] + np.arange(3) * 20
    return np.clip(noise + across + 4 * number, 0, 255).astype(np.uint8)


def _clip(
    path: Path,
    size: tuple[int, int] = (64, 48),
    *,
    codec: str = "h264",
    pix_fmt: str = "yuv420p",
    sound: str | None = None,
    frames: int = FRAMES,
    step: int = 1,
    options: dict[str, str] | None = None,
) -> Path:
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=24, options=options or {})
        video.width, video.height, video.pix_fmt = *size, pix_fmt
        video.codec_context.time_base = Fraction(1, 24 * step)
        audio = container.add_stream(sound, rate=48000, layout="stereo") if sound else None
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(_image(*size, number), format="rgb24").reformat(format=pix_fmt)
            frame.pts = number * step + (number % 3 if step > 1 else 0)
            frame.time_base = Fraction(1, 24 * step)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            tone = np.sin(np.arange(48000 * frames // 24) / 15).astype(np.float32)
            heard = av.AudioFrame.from_ndarray(np.stack([tone, tone / 2]), format="fltp", layout="stereo")
            heard.sample_rate = 48000
            heard.pts = 0
            resampler = av.AudioResampler(format=audio.format.name, layout="stereo", rate=48000)
            for part in resampler.resample(heard):
                container.mux(audio.encode(part))
            container.mux(audio.encode(None))
    return path


# ISO/IEC 14496-12, 8.3.2: the matrix of a track header of version 0, and where it lies behind the header's name.
MATRIX_AT = 40
MATRICES = {90: (0, 1, 0, -1, 0, 0, 0, 0), 180: (-1, 0, 0, 0, -1, 0, 0, 0), 270: (0, -1, 0, 1, 0, 0, 0, 0)}


def _turned(source: Path, target: Path, degrees: int) -> None:
    """The film with another matrix in the header of its first track."""
    data = bytearray(source.read_bytes())
    place = data.index(b"tkhd") + 4 + MATRIX_AT
    data[place : place + 32] = struct.pack(">8i", *(value * 65536 for value in MATRICES[degrees]))
    target.write_bytes(data)


def _broken(source: Path, target: Path, kind: str) -> None:
    """The film with nonsense in the middle packet of one track."""
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux() if packet.stream.type == kind and packet.size]
    place, size = packets[len(packets) // 2]
    data[place : place + size] = b"\xff" * size
    target.write_bytes(data)


# swscale reads beyond rows whose width is no multiple of 32, so there core does not even agree with itself: such widths are
# only where nothing is converted, or where core pads before.
@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films") / "clips"
    folder.mkdir()
    np.save(folder.parent / "pictures.npy", np.linspace(-0.1, 1.1, 15 * 32 * 64 * 3, dtype=np.float32).reshape(15, 32, 64, 3))
    plain = _clip(folder / "sound.mp4", sound="aac")
    _clip(folder / "narrow.mp4", (50, 38))
    _clip(folder / "ten_bits.mp4", pix_fmt="yuv420p10le")
    _clip(folder / "jpeg.mkv", (64, 38), codec="mjpeg", pix_fmt="yuvj420p", sound="pcm_s16le")
    _clip(folder / "alpha.mov", codec="png", pix_fmt="rgba")
    _clip(folder / "rgb.mov", (51, 37), codec="png", pix_fmt="rgb24")
    _clip(folder / "444.mkv", codec="ffv1", pix_fmt="yuv444p", sound="flac")
    _clip(folder / "uneven.mp4", step=10, sound="aac")
    _clip(folder / "broadcast.ts", options={"bf": "2"}, sound="mp2")
    _clip(folder / "web.webm", codec="libvpx-vp9", sound="libopus")
    _clip(folder / "odd.mkv", (51, 37), codec="ffv1", pix_fmt="yuv444p")
    _clip(folder / "prores.mov", codec="prores_ks", pix_fmt="yuv422p10le")
    _turned(plain, folder / "turned180.mp4", 180)
    # On its side a film must still be a multiple of 32 wide: elsewhere what core writes depends on what was in memory.
    wide = _clip(folder / "wide.mp4", (96, 64))
    _turned(wide, folder / "turned90.mp4", 90)
    _turned(wide, folder / "turned270.mp4", 270)
    _broken(plain, folder / "broken.mp4", "video")
    (folder / "words.mp4").write_text("no film at all")
    return folder


Answers = tuple[Path, dict[str, Any], dict[str, np.ndarray]]


def _cores(clips: Path, results: Path) -> Path:
    command = [sys.executable, "-c", CORE, str(require_tree()), str(clips), str(results), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return results


def _ours(clips: Path, results: Path) -> Answers:
    arrays: dict[str, np.ndarray] = {}
    images = torch.from_numpy(np.load(clips.parent / "pictures.npy"))
    notes = ask(
        (VideoFromFile, partial(VideoFromComponents, color_space=None), VideoComponents), clips, results, arrays, images
    )
    return results, json.loads(json.dumps(notes)), arrays


@pytest.fixture(scope="module")
def core(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with core's answers and files."""
    return _cores(clips, tmp_path_factory.mktemp("core"))


@pytest.fixture(scope="module")
def ours(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    return _ours(clips, tmp_path_factory.mktemp("ours"))


# ---------------------------------------------------------------- the value


@pytest.mark.comfyui
def test_facts_and_refusals_are_cores(core: Path, ours: Any) -> None:
    theirs, notes = json.loads((core / "notes.json").read_text()), ours[1]
    asked = {key for key in theirs if not key.startswith("why ")}
    different = {key: (notes[key], theirs[key], notes.get("why " + key), theirs.get("why " + key)) for key in asked}
    assert {key: pair for key, pair in different.items() if pair[0] != pair[1]} == {}


@pytest.mark.comfyui
def test_frames_and_sound_are_cores_bit_for_bit(core: Path, ours: Any) -> None:
    theirs, arrays = np.load(core / "arrays.npz"), ours[2]
    assert set(arrays) == set(theirs)
    assert len(arrays) > 100
    for key, expected in theirs.items():
        assert arrays[key].shape == expected.shape, key
        assert arrays[key].dtype == expected.dtype, key
        assert arrays[key].tobytes() == expected.tobytes(), key


@pytest.mark.comfyui
def test_files_are_cores_byte_for_byte(clips: Path, core: Path, ours: Answers, tmp_path: Path) -> None:
    names = {path.name for path in core.glob("*.mp4") if path.stat().st_size}
    mine = {path.name for path in ours[0].iterdir()}
    failed = {f"{key}.mp4" for key, note in ours[1].items() if note == "error"}
    assert len(names) > 100
    assert not mine & failed  # nothing half-written; core leaves some of these
    assert mine == names - failed
    different = _different(ours[0], core, sorted(mine))
    for attempt in range(3):
        # x264 does not always repeat itself: of four runs of core alone, one gave other bytes for four of these files.
        # A file that differs is therefore written anew by both, each from the beginning.
        if not different:
            break
        folder = tmp_path / str(attempt) / "clips"
        for part in (folder, folder.parent / "ours", folder.parent / "core"):
            part.mkdir(parents=True)
        shutil.copy(clips.parent / "pictures.npy", folder.parent)
        for clip in clips.iterdir():
            if any(name.startswith(f"{clip.name} ") for name in different):
                shutil.copy(clip, folder)
        again = _ours(folder, folder.parent / "ours")[0], _cores(folder, folder.parent / "core")
        different = _different(*again, different)
    assert different == []


def _different(these: Path, those: Path, names: list[str]) -> list[str]:
    return [name for name in names if (these / name).read_bytes() != (those / name).read_bytes()]


def test_what_goes_wrong_is_a_sentence(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"words\.mp4 cannot be read"):
        VideoFromFile(clips / "words.mp4").get_components()
    with pytest.raises(MediaError, match=r"none\.mp4 cannot be read: No such file"):
        VideoFromFile(clips / "none.mp4").get_duration()
    with pytest.raises(OutputError, match="51x37") as caught:
        VideoFromFile(clips / "odd.mkv").save_to(tmp_path / "a.mp4", codec="h264")
    assert "ImageScale" in caught.value.hint
    with pytest.raises(OutputError, match="51x37"):
        VideoFromComponents(VideoComponents(torch.zeros(2, 37, 51, 3), Fraction(24))).save_to(tmp_path / "a.mp4")
    with pytest.raises(OutputError, match="4 channels"):
        VideoFromComponents(VideoComponents(torch.zeros(2, 32, 48, 4), Fraction(24))).save_to(tmp_path / "a.mp4")
    with pytest.raises(OutputError, match="cannot be written") as caught:
        VideoFromFile(clips / "prores.mov").save_to(tmp_path / "a.mp4")
    assert "h264" in caught.value.hint
    with pytest.raises(OutputError, match="webm"):
        VideoFromFile(clips / "sound.mp4").save_to(tmp_path / "a.webm", format="webm", codec="h264")
    with pytest.raises(OutputError, match="avi"):
        VideoFromFile(clips / "sound.mp4").save_to(tmp_path / "a.avi", format="avi")
    with pytest.raises(OutputError, match="'P3'"):
        VideoFromFile(clips / "sound.mp4").save_to(tmp_path / "a.mp4", color_space="P3")
    with pytest.raises(OutputError, match="no suffix"):
        VideoFromFile(clips / "sound.mp4").save_to(tmp_path / "a.xyz")
    assert not list(tmp_path.iterdir())


def test_a_playlist_cannot_reach_for_another_place(tmp_path: Path) -> None:
    (tmp_path / "list.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(MediaError):
        VideoFromFile(tmp_path / "list.m3u8").get_components()


def test_a_broken_packet_of_sound_costs_that_packet_where_core_fails(clips: Path, tmp_path: Path, caplog) -> None:
    _broken(clips / "sound.mp4", tmp_path / "a.mp4", "audio")
    whole, broken = (VideoFromFile(path).get_components() for path in (clips / "sound.mp4", tmp_path / "a.mp4"))
    assert torch.equal(broken.images, whole.images)
    assert 0 < broken.audio["waveform"].shape[-1] < whole.audio["waveform"].shape[-1]
    assert "audio" in caplog.text
    VideoFromFile(tmp_path / "a.mp4").save_to(tmp_path / "b.mp4", crf=30.0)
    assert len(VideoFromFile(tmp_path / "b.mp4").get_components().images) == FRAMES


def test_counts_are_right_where_core_has_none(clips: Path) -> None:
    """Core says 1 for a film whose header holds no count, and for a part of any film."""
    assert VideoFromFile(clips / "sound.mp4").get_frame_count() == FRAMES
    assert VideoFromFile(clips / "444.mkv").get_frame_count() == FRAMES
    assert VideoFromFile(clips / "sound.mp4", start_time=0.5).get_frame_count() == pytest.approx(FRAMES - 12, abs=1)


def test_frames_that_do_not_fit_are_refused_before_a_frame_is_decoded(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = VideoFromFile(clips / "sound.mp4").memory_of_components()
    assert FRAMES * 64 * 48 * 12 <= needed < FRAMES * 64 * 48 * 12 * 2
    free = psutil.virtual_memory()._replace(available=needed - 1)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(OutOfMemory, match=r"The frames of sound\.mp4 take 0\.0 GB as IMAGE") as caught:
        VideoFromFile(clips / "sound.mp4").get_components()
    assert "TiledUpscaleVideo" in caught.value.hint
    assert len(VideoFromFile(clips / "sound.mp4", duration=0.2).get_components().images) == 5


def test_a_video_in_memory_is_a_video(clips: Path) -> None:
    video = VideoFromFile(BytesIO((clips / "sound.mp4").read_bytes()))
    expected = VideoFromFile(clips / "sound.mp4").get_components()
    for _ in range(2):
        assert torch.equal(video.get_components().images, expected.images)


# ---------------------------------------------------------------- the nodes


@pytest.fixture
def home(host: LocalHost, clips: Path) -> Iterator[LocalHost]:
    shutil.copy(clips / "sound.mp4", host.input_dir / "film.mp4")
    yield host


def bound(host: LocalHost) -> dict[str, Any]:
    return get_node_classes(host)


def test_trim_video_is_declared_as_in_comfyui(host: LocalHost) -> None:
    entry = describe_classes({"Video Slice": bound(host)["Video Slice"]}, DISPLAY_NAMES)["Video Slice"]
    assert differences(entry, declarations()["Video Slice"]) == set()


# comfy_extras/nodes_video.py of ComfyUI 0.38
DECLARED = {
    "LoadVideo": (["file", "edit"], ["VIDEO"]),
    "SaveVideo": (["video", "filename_prefix", "format", "codec"], ["VIDEO"]),
    "CreateVideo": (["images", "fps", "audio", "bit_depth", "color_space", "codec"], ["VIDEO"]),
    "ConcatenateVideo": (["videos", "codec", "complete_audio"], ["VIDEO"]),
    "GetVideoComponents": (["video"], ["IMAGE", "AUDIO", "FLOAT", "INT,COMBO", "COMBO"]),
    "Video Slice": (["video", "start_time", "duration", "strict_duration"], ["VIDEO"]),
    "VideoTrim": (["video", "trim", "strict_duration"], ["VIDEO"]),
    "VideoCrop": (["video", "crop"], ["VIDEO"]),
}


@pytest.mark.parametrize("node_id", list_nodes(video))
def test_inputs_and_outputs_are_those_of_the_newest_comfyui(node_id: str, host: LocalHost) -> None:
    entry = describe_classes({node_id: bound(host)[node_id]}, DISPLAY_NAMES)[node_id]
    names = [name for group in ("required", "optional") for name in entry["input"].get(group, {})]
    assert (names, entry["output"]) == DECLARED[node_id]
    assert entry["comfyui_version"] == "0.38"


def run(prompt: dict[str, Any], host: LocalHost) -> dict[str, Any]:
    nodes = bound(host)
    checked = check_prompt(prompt, nodes)
    assert not checked.problems, checked.problems
    workflow = {"workflow": {"nodes": []}}
    events = execute_plan(make_plan(checked.prompt, nodes), nodes, extra_pnginfo=workflow)
    return {event.node_id: event.ui for event in events if isinstance(event, NodeFinished)}


LOAD = {"class_type": "LoadVideo", "inputs": {"file": "film.mp4"}}


def save(video: list[Any], **more: Any) -> dict[str, Any]:
    return {
        "class_type": "SaveVideo",
        "inputs": {"video": video, "filename_prefix": "video/%width%", "format": "auto", "codec": "auto", **more},
    }


def test_loaded_and_saved_it_is_copied_and_carries_the_workflow(home: LocalHost) -> None:
    shown = run({"1": LOAD, "2": save(["1", 0])}, home)["2"]
    assert shown["images"] == [{"filename": "64_00001_.mp4", "subfolder": "video", "type": "output"}]
    assert shown["animated"] == [True]
    with (
        av.open(str(home.output_dir / "video" / "64_00001_.mp4")) as written,
        av.open(str(home.input_dir / "film.mp4")) as read,
    ):
        assert json.loads(written.metadata["workflow"]) == {"nodes": []}
        assert json.loads(written.metadata["prompt"])["1"]["class_type"] == "LoadVideo"
        packets, source = (
            [bytes(packet) for packet in container.demux(video=0) if packet.size] for container in (written, read)
        )
    assert packets == source


def test_a_number_that_another_run_takes_meanwhile_is_not_overwritten(host: LocalHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def take_number(*_: Any, **__: Any) -> Path:
        path = host.output_dir / "clip_00001_.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"of another run")
        return path

    monkeypatch.setattr(LocalHost, "output_path", take_number)
    video = VideoFromComponents(VideoComponents(torch.rand(4, 32, 48, 3), Fraction(24)))
    saved = get_node_classes(host)["SaveVideo"]().save(video, "auto", "clip")
    assert (host.output_dir / "clip_00001_.mp4").read_bytes() == b"of another run"
    assert [entry["filename"] for entry in saved["ui"]["images"]] == ["clip_00002_.mp4"]
    assert VideoFromFile(host.output_dir / "clip_00002_.mp4").get_frame_count() == 4
    assert len(list(host.output_dir.iterdir())) == 2


def test_a_crf_and_a_part_are_encoded_anew(home: LocalHost) -> None:
    part = {"video": ["1", 0], "start_time": 0.25, "duration": 0.25, "strict_duration": True}
    encoding = {"codec": "h264", "codec.encoding": "re-encode", "codec.encoding.crf": 40.0}
    prompt = {"1": LOAD, "2": {"class_type": "Video Slice", "inputs": part}, "3": save(["2", 0], **encoding)}
    shown = run(prompt, home)["3"]["images"][0]
    saved = VideoFromFile(home.output_dir / shown["subfolder"] / shown["filename"])
    assert len(saved.get_components().images) == 6
    assert saved.get_duration() == pytest.approx(0.25, abs=0.05)


def test_a_part_that_is_not_there_is_a_sentence(home: LocalHost) -> None:
    part = {"video": ["1", 0], "start_time": 0.0, "duration": 9.0, "strict_duration": True}
    prompt = {"1": LOAD, "2": {"class_type": "Video Slice", "inputs": part}, "3": save(["2", 0])}
    with pytest.raises(WorkflowError, match=r"9 s from 0 s on exceed the video, which is 0\.8"):
        run(prompt, home)


def test_a_video_that_is_not_there_is_found_by_the_check(home: LocalHost) -> None:
    prompt = {"1": {"class_type": "LoadVideo", "inputs": {"file": "none.mp4"}}, "2": save(["1", 0])}
    (problem,) = check_prompt(prompt, bound(home)).problems
    assert "none.mp4" in problem.what


def test_the_memory_that_frames_take_is_said(home: LocalHost) -> None:
    said: list[str] = []

    class Loud(SilentProgress):
        def message(self, text: str) -> None:
            said.append(text)

    home.show_progress = lambda total, unit: Loud()
    images, audio, fps, bits, color = bound(home)["GetVideoComponents"]().take_apart(VideoFromFile(home.input_dir / "film.mp4"))
    assert said == ["All frames at once take 0.0 GB of memory."]
    assert (images.shape, audio["sample_rate"], fps, bits, color) == ((FRAMES, 48, 64, 3), 48000, 24.0, 8, "sRGB")


def test_other_packs_videos_are_asked_as_core_asks_them(home: LocalHost) -> None:
    class Theirs:
        def get_components(self) -> Any:
            return VideoComponents(torch.zeros(1, 8, 8, 3), Fraction(25))

        def get_bit_depth(self) -> int:
            return 8

    assert bound(home)["GetVideoComponents"]().take_apart(Theirs())[2] == 25.0


@pytest.mark.comfyui
def test_comfyuis_own_video_upscale_blueprint_runs(host: LocalHost) -> None:
    """A film of 4 frames through ComfyUI's shared subgraph, with a model that this project carries."""
    _clip(host.input_dir / "film.mp4", (48, 32), sound="aac", frames=4)
    workflow = json.loads((require_tree() / "blueprints" / "Video Upscale(GAN x4).json").read_text(encoding="utf-8"))
    (blueprint,) = workflow["nodes"]
    blueprint["inputs"][0]["link"], blueprint["outputs"][0]["links"] = 1, [2]
    blueprint["widgets_values"] = ["realesr-animevideov3"]
    ends = [
        {
            "type": "LoadVideo",
            "outputs": [{"name": "VIDEO", "type": "VIDEO", "links": [1]}],
            "widgets_values": ["film.mp4", "image"],
        },
        {
            "type": "SaveVideo",
            "inputs": [{"name": "video", "type": "VIDEO", "link": 2}],
            "widgets_values": ["video/ComfyUI", "auto", "auto"],  # as files of earlier versions hold them
        },
    ]
    workflow["nodes"] += [{"id": 100 + number, "mode": 0, "properties": {}, **end} for number, end in enumerate(ends)]
    workflow["links"] = [[1, 100, 0, blueprint["id"], 0, "VIDEO"], [2, blueprint["id"], 0, 101, 0, "VIDEO"]]
    converted = convert_workflow(workflow, describe_classes(bound(host), DISPLAY_NAMES))
    assert not converted.problems
    run(converted.prompt, host)
    source, saved = (
        VideoFromFile(path) for path in (host.input_dir / "film.mp4", host.output_dir / "video" / "ComfyUI_00001_.mp4")
    )
    assert saved.get_dimensions() == (192, 128)
    assert saved.get_frame_rate() == source.get_frame_rate() == 24
    old, new = source.get_components(), saved.get_components()
    assert new.images.shape == (4, 128, 192, 3)
    smaller = torch.nn.functional.avg_pool2d(new.images.movedim(-1, 1), 4).movedim(1, -1)
    assert (smaller - old.images).abs().mean() < 0.05
    assert new.audio["waveform"].shape[-1] == pytest.approx(old.audio["waveform"].shape[-1], abs=2048)


def test_every_failure_is_one_of_ours(clips: Path, ours: Any) -> None:
    reasons = {text.partition(":")[0] for key, text in ours[1].items() if key.startswith("why ")}
    assert reasons <= {error.__name__ for error in (MediaError, OutputError, Upscale8KError)}


# ---------------------------------------------------------------- containers, codecs and colors since ComfyUI 0.33


def _probe(path: Path) -> dict[str, Any]:
    """Codec, pixel format, color tags and sound as FFmpeg reads them, numbers by ITU-T H.273."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        context = video.codec_context
        return {
            "container": container.format.name.split(",")[0],
            "codec": video.codec.canonical_name,
            "pix_fmt": context.pix_fmt,
            "color": (int(context.color_primaries), int(context.color_trc), int(context.colorspace)),
            "sound": [(track.codec.canonical_name, track.sample_rate) for track in container.streams.audio],
        }


BT709, HLG, PQ = (1, 13, 1), (9, 18, 9), (9, 16, 9)
CREATE = {"images": ["2", 0], "fps": 24.0, "audio": ["2", 1]}
MADE = [
    # as ComfyUI 0.33 and later save them
    ({"format": "auto", "format.codec": "auto"}, {}, "mov", "h264", "yuv420p", BT709, "aac"),
    ({"format": "auto", "format.codec": "av1"}, {}, "matroska", "av1", "yuv420p", BT709, "opus"),
    ({"format": "webm", "format.codec": "auto"}, {}, "matroska", "av1", "yuv420p", BT709, "opus"),
    ({"format": "mkv", "format.codec": "h264"}, {}, "matroska", "h264", "yuv420p", BT709, "aac"),
    (
        {
            "format": "mp4",
            "format.codec": "h264",
            "format.codec.encoding": "re-encode",
            "format.codec.encoding.crf": 45.0,
            "format.codec.encoding.color_space": "HDR PQ",
            "codec": "auto",
        },
        {"bit_depth": 8},
        *("mov", "h264", "yuv420p10le", PQ, "aac"),
    ),
    (
        {
            "format": "mkv",
            "format.codec": "av1",
            "format.codec.encoding": "re-encode",
            "format.codec.encoding.crf": 40,
            "format.codec.encoding.color_space": "auto",
            "codec": "auto",
        },
        {},
        *("matroska", "av1", "yuv420p", BT709, "aac"),
    ),
    ({"format": "mp4", "format.codec": "auto"}, {"color_space": "HDR"}, "mov", "h264", "yuv420p10le", HLG, "aac"),
    ({"format": "mp4"}, {"color_space": "HDR PQ", "bit_depth": 8}, "mov", "h264", "yuv420p", PQ, "aac"),
    ({"format": "mkv"}, {"codec": "av1", "bit_depth": 10}, "matroska", "av1", "yuv420p10le", BT709, "aac"),
    # as ComfyUI 0.30 saves them
    ({"format": "mp4", "codec": "h264"}, {"bit_depth": 10}, "mov", "h264", "yuv420p10le", BT709, "aac"),
]


@pytest.mark.parametrize(("how", "made", "container", "codec", "pix_fmt", "color", "sound"), MADE)
def test_save_video_writes_what_the_newest_comfyui_writes(
    home: LocalHost, how: Any, made: Any, container: str, codec: str, pix_fmt: str, color: Any, sound: str
) -> None:
    save_node = {"class_type": "SaveVideo", "inputs": {"video": ["3", 0], "filename_prefix": "a", **how}}
    components = {"class_type": "GetVideoComponents", "inputs": {"video": ["1", 0]}}
    prompt = {"1": LOAD, "2": components, "3": {"class_type": "CreateVideo", "inputs": {**CREATE, **made}}, "4": save_node}
    (shown,) = run(prompt, home)["4"]["images"]
    found = _probe(home.output_dir / shown["filename"])
    assert found == {
        "container": container,
        "codec": codec,
        "pix_fmt": pix_fmt,
        "color": color,
        "sound": [(sound, 48000)],
    }
    assert Path(shown["filename"]).suffix == {"mov": ".mp4", "matroska": ".webm" if sound == "opus" else ".mkv"}[container]


def test_a_crf_reaches_the_encoder_from_files_of_every_version(home: LocalHost) -> None:
    sizes = []
    for key in ("codec", "format.codec"):
        for crf in (10.0, 50.0):
            how = {"format": "mp4", key: "h264", f"{key}.encoding": "re-encode", f"{key}.encoding.crf": crf}
            inputs = {"video": ["1", 0], "filename_prefix": "a", **how}
            (shown,) = run({"1": LOAD, "2": {"class_type": "SaveVideo", "inputs": inputs}}, home)["2"]["images"]
            with av.open(str(home.output_dir / shown["filename"])) as container:
                sizes.append(sum(packet.size for packet in container.demux(video=0)))
    assert sizes[0] > 2 * sizes[1]
    assert sizes[:2] == sizes[2:]


def test_a_tagged_video_keeps_its_color_and_is_not_given_another(clips: Path, tmp_path: Path) -> None:
    images = torch.rand(3, 32, 64, 3)
    VideoFromComponents(VideoComponents(images, Fraction(24)), 10, "HDR").save_to(tmp_path / "hlg.mp4")
    video = VideoFromFile(tmp_path / "hlg.mp4")
    assert (video.get_color_space(), video.get_bit_depth()) == ("HDR", 10)
    video.save_to(tmp_path / "again.mkv", format="mkv", codec="av1", crf=40)
    assert _probe(tmp_path / "again.mkv")["color"] == HLG
    with pytest.raises(OutputError, match="HDR cannot be saved as sRGB"):
        video.save_to(tmp_path / "no.mp4", color_space="sRGB")


def test_load_video_crops_and_trims_as_its_editor_says(home: LocalHost) -> None:
    edit = {"trim": {"start_time": 0.25, "duration": 0.25}, "crop": {"x": 5, "y": 3, "width": 21, "height": 400}}
    load = {"class_type": "LoadVideo", "inputs": {"file": "film.mp4", "edit": edit}}
    (shown,) = run({"1": load, "2": save(["1", 0])}, home)["2"]["images"]
    saved = VideoFromFile(home.output_dir / shown["subfolder"] / shown["filename"])
    whole = VideoFromFile(home.input_dir / "film.mp4")
    cropped = whole.as_trimmed(0.25, 0.25).as_cropped(5, 3, 21, 400)
    # even pixels inside the frame, as ComfyUI's normalize_crop_rect has them
    assert saved.get_dimensions() == cropped.get_dimensions() == (20, 46)
    assert cropped.has_pending_frame_edits()
    expected = whole.get_components().images[6:12, 2:48, 4:24]
    assert torch.equal(cropped.get_components().images, expected)
    assert (saved.get_components().images - expected).abs().mean() < 0.05
    inner = cropped.as_cropped(2, 2, 8, 8)
    assert torch.equal(inner.get_components().images, expected[:, 2:10, 2:10])


def test_a_video_resized_is_resized_like_its_images(clips: Path) -> None:
    video = VideoFromFile(clips / "sound.mp4")
    resized = video.as_resized(32, 24, "area", post_crop=(0, 0, 30, 20))
    expected = torch.nn.functional.interpolate(video.get_components().images.movedim(-1, 1), size=(24, 32), mode="area")
    assert torch.equal(resized.get_components().images, expected.movedim(1, -1)[:, :20, :30])
    assert resized.get_frame_rate() == 24


@pytest.mark.parametrize(
    ("choice", "size"),
    [
        ({"resize_type": "scale by multiplier", "resize_type.multiplier": 0.5}, (32, 24)),
        ({"resize_type": "scale to multiple", "resize_type.multiple": 20}, (60, 40)),
        (
            {
                "resize_type": "scale dimensions",
                "resize_type.width": 20,
                "resize_type.height": 20,
                "resize_type.crop": "center",
            },
            (20, 20),
        ),
        ({"resize_type": "match size", "resize_type.match": torch.zeros(1, 10, 30), "resize_type.crop": "disabled"}, (30, 10)),
        ({"resize_type": "scale to multiple", "resize_type.multiple": 1}, (64, 48)),
    ],
)
@pytest.mark.parametrize("from_file", [True, False])
def test_the_resize_node_takes_a_video_as_its_images(
    clips: Path, host: LocalHost, choice: dict[str, Any], size: tuple[int, int], from_file: bool
) -> None:
    file = VideoFromFile(clips / "sound.mp4")
    images = file.get_components().images
    node = get_node_classes(host)["ResizeImageMaskNode"]
    method = {"scale_method": "area"}
    (resized,) = node().resize(file if from_file else VideoFromComponents(file.get_components()), **method, **choice)
    (expected,) = node().resize(images, **method, **choice)
    assert resized.get_display_dimensions() == size
    assert torch.equal(resized.get_components().images, expected)


@pytest.mark.parametrize(
    ("values", "sent"),
    [
        (["p", "auto", "h264", "re-encode", 18], {"format": "auto", "format.codec": "h264", "format.codec.encoding.crf": 18}),
        (["p", "mp4", "h264", "re-encode", 45, "HDR PQ", "auto"], {"format.codec.encoding.color_space": "HDR PQ"}),
        (["p", "mkv", "av1", "re-encode", 40, "auto"], {"format": "mkv", "format.codec": "av1", "codec": "auto"}),
        (["p", "auto", "auto"], {"format": "auto", "format.codec": "auto", "codec": "auto"}),
    ],
)
def test_saved_nodes_of_every_version_are_read(host: LocalHost, values: list[Any], sent: dict[str, Any]) -> None:
    """0.30 (codec beside format), 0.33 (color space, then the hidden codec), 0.38 (without the color space)."""
    ui = {"nodes": [{"id": 1, "type": "SaveVideo", "widgets_values": values, "inputs": [], "outputs": []}], "links": []}
    converted = convert_workflow(ui | {"version": 0.4}, describe_classes(bound(host), DISPLAY_NAMES))
    assert converted.problems == converted.notes == []
    assert sent.items() <= converted.prompt["1"]["inputs"].items()


def test_videos_are_joined_with_their_sound_and_silence_where_there_is_none(host: LocalHost) -> None:
    frames = torch.rand((4, 16, 24, 3), generator=torch.Generator().manual_seed(1))
    sound = {"waveform": torch.rand(1, 1, 8000) * 0.5, "sample_rate": 16000}
    first = VideoFromComponents(VideoComponents(frames, Fraction(8), sound))
    second = VideoFromComponents(VideoComponents(frames.flip(0), Fraction(8)))
    joined = join_videos([first, second, first], None, progress=SilentProgress())
    parts = joined.get_components()
    assert torch.equal(parts.images, torch.cat([frames, frames.flip(0), frames]))
    assert parts.audio is not None
    expected = torch.cat([sound["waveform"], torch.zeros(1, 1, 8000), sound["waveform"]], dim=-1)
    assert torch.equal(parts.audio["waveform"], expected)
    (saved,) = bound(host)["ConcatenateVideo"]().join(
        ["auto"], None, **{"videos.video0": [first, second], "videos.video1": [first]}
    )
    assert len(saved.get_components().images) == 12
    other = VideoFromComponents(VideoComponents(frames[:, :8], Fraction(8)))
    with pytest.raises(WorkflowError, match="24x16 at 8 frames a second and 24x8"):
        join_videos([first, other], None, progress=SilentProgress())
