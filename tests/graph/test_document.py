"""Files of every kind that users pass as a workflow; images are written by Pillow, as ComfyUI writes them."""

import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin
from upscale8k.runtime.errors import WorkflowError
from upscale8k.runtime.graph import document
from upscale8k.runtime.graph.document import Document

UI = {"version": 0.4, "nodes": [{"id": 1, "type": "LoadImage", "title": "Straße"}], "links": []}
API = {"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}


def read(path: Path, tags: Mapping[str, str] | None = None) -> Document:
    """Read a file; ``tags`` are those of a video."""
    return document.read_document(path, lambda asked: tags or {} if asked == path else {})


def save(path: Path, root: Any) -> Path:
    path.write_text(root if isinstance(root, str) else json.dumps(root), encoding="utf-8")
    return path


def test_a_ui_file_an_api_file_and_the_envelope_of_a_request_are_told_apart(tmp_path: Path) -> None:
    ui = read(save(tmp_path / "a.json", UI))
    assert (ui.kind, ui.ui, ui.prompt) == ("ui", UI, None)
    api = read(save(tmp_path / "b.json", API))
    assert (api.kind, api.ui, api.prompt) == ("api", None, API)
    envelope = {"client_id": "x", "prompt": API, "extra_data": {"extra_pnginfo": {"workflow": UI}}}
    assert read(save(tmp_path / "c.json", envelope)).prompt == API


def test_a_version_1_root_is_a_ui_file(tmp_path: Path) -> None:
    assert read(save(tmp_path / "a.json", {"version": 1, "nodes": [], "links": [], "state": {}})).kind == "ui"


def test_a_byte_order_mark_and_utf_16_are_read(tmp_path: Path) -> None:
    for encoding in ("utf-8-sig", "utf-16"):
        path = tmp_path / f"{encoding}.json"
        path.write_bytes(json.dumps(UI, ensure_ascii=False).encode(encoding))
        assert read(path).ui == UI


def test_nan_is_read_as_null_as_the_canvas_does(tmp_path: Path) -> None:
    prompt = read(save(tmp_path / "a.json", '{"1": {"class_type": "X", "inputs": {"a": NaN, "b": -Infinity}}}')).prompt
    assert prompt is not None
    assert prompt["1"]["inputs"] == {"a": None, "b": None}


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt", "compressed iTXt"])
def test_a_png_carries_its_workflow_in_any_kind_of_text_chunk(tmp_path: Path, kind: str) -> None:
    info = PngImagePlugin.PngInfo()
    for key, value in (("prompt", API), ("workflow", UI)):
        if "iTXt" in kind:
            info.add_itxt(key, json.dumps(value, ensure_ascii=False), zip="compressed" in kind)
        else:
            info.add_text(key, json.dumps(value), zip=kind == "zTXt")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=info)
    found = read(tmp_path / "a.png")
    assert (found.kind, found.ui) == ("ui", UI)  # the workflow is preferred to the prompt


def test_a_png_with_only_a_prompt_is_an_api_file(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", json.dumps(API))
    Image.new("RGB", (8, 8)).save(tmp_path / "renamed.json", format="PNG", pnginfo=info)
    assert read(tmp_path / "renamed.json").prompt == API


@pytest.mark.parametrize("suffix", ["webp", "jpg"])
def test_exif_strings_of_webp_and_jpeg_are_read(tmp_path: Path, suffix: str) -> None:
    """ComfyUI writes prompt to tag 0x0110 and workflow to 0x010F of animated WebP."""
    image = Image.new("RGB", (8, 8))
    exif = image.getexif()
    exif[0x0110] = f"prompt:{json.dumps(API)}"
    exif[0x010F] = f"workflow:{json.dumps(UI)}"
    image.save(tmp_path / f"a.{suffix}", exif=exif)
    assert read(tmp_path / f"a.{suffix}").ui == UI


def test_images_without_a_workflow_say_so(tmp_path: Path) -> None:
    for suffix in ("png", "webp", "jpg"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"a.{suffix}")
        with pytest.raises(WorkflowError, match="without a workflow"):
            read(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize("suffix", ["mp4", "MKV"])
def test_a_video_carries_its_workflow_in_its_tags_however_large_it_is(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"clip.{suffix}"
    with path.open("wb") as file:
        file.truncate(2**30)
    tags = {"title": "A video", "prompt": json.dumps(API), "workflow": json.dumps(UI)}
    assert read(path, tags).ui == UI
    assert read(path, {"prompt": json.dumps(API)}).prompt == API
    with pytest.raises(WorkflowError, match=rf"clip\.{suffix} is not JSON"):
        read(path, {"workflow": "{"})


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize(
    "body",
    [
        chunk(b"zTXt", b"workflow\0\0not zlib"),
        chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b" " * (65 * 2**20))),
        chunk(b"iTXt", b"workflow\0\0\0"),
        struct.pack(">I", 2**31) + b"tEXtworkflow",
        chunk(b"tEXt", b"workflow\0{"),
    ],
)
def test_a_damaged_or_hostile_png_is_refused_in_a_sentence(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(WorkflowError, match=r"a\.png"):
        read(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ('{"nodes": [}', "line 1, column 12"),
        ("[]", "a list, not an object"),
        ("null", "null, not an object"),
        ("3", "a number, not an object"),
        ("{}", "an empty object"),
        ('{"hello": 1, "world": 2}', "'hello', 'world'"),
        ('{"nodes": [1]}', "`nodes` are not a list of objects"),
        ('{"last_node_id": 3, "links": []}', "no `nodes`"),
        ('{"1": {"class_type": "A", "inputs": {}}, "2": {"class_type": "B"}}', "node '2' has no class_type or no inputs"),
        ("[" * 200_000, "nested too deeply"),
        ('{"1": {"class_type": "A", "inputs": {"a": ' + "[" * 900 + "]" * 900 + "}}}", "nested too deeply"),
        ('{"a": ' + "9" * 10_000 + "}", "numbers that are too long"),
    ],
)
def test_what_is_no_workflow_is_refused_by_what_it_is(tmp_path: Path, content: str, says: str) -> None:
    path = save(tmp_path / "a.json", content)
    with pytest.raises(WorkflowError) as caught:
        read(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.hint
    assert caught.value.path == path


def test_missing_files_folders_videos_and_binary_files_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x20ftypisom")
    (tmp_path / "weights.json").write_bytes(b"\xff\xfa\xfb" * 50)
    cases = [
        ("none.json", "There is no file"),
        (".", "is a folder"),
        ("clip.mp4", "is a video without a workflow"),
        ("none.mp4", "There is no file"),
        ("empty.mp4", "is empty"),
        ("weights.json", "not UTF-8"),
        ("a\0b", "cannot be read"),
    ]
    for name, says in cases:
        with pytest.raises(WorkflowError, match=says):
            read(tmp_path / name)


def test_a_file_of_absurd_size_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(WorkflowError, match="larger than 256 MB"):
        read(path)
