"""An engine is used only while it is, byte for byte, the one that is wanted."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.trt.engine_info import (
    EngineInfo,
    GraphStamp,
    get_info_path,
    is_intact,
    list_differences,
    read_engine_info,
    write_engine,
)

GRAPH = GraphStamp("ef" * 32, "1")
STAMP = EngineInfo(
    weights="ab" * 32,
    scale=4,
    multiple=1,
    precision="fp16",
    flavour="tensorrt_rtx",
    version="1.7.1.116",
    target="sm_89",
    driver="",
    workspace=0,
    tile=512,
    least=(32, 32),
    best=(640, 640),
    most=(640, 640),
)


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    write_engine(tmp_path / "x.trt", b"an engine", STAMP, GRAPH)
    return tmp_path / "x.trt"


def test_what_was_written_is_recognised(engine: Path) -> None:
    assert engine.read_bytes() == b"an engine"
    assert read_engine_info(engine) == STAMP
    assert list_differences(engine, STAMP) == []
    assert sorted(path.name for path in engine.parent.iterdir()) == ["x.trt", "x.trt.json"]


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"weights": "cd" * 32}, "weights"),
        ({"precision": "fp32"}, "precision"),
        ({"flavour": "tensorrt"}, "other TensorRT"),
        ({"version": "1.7.2"}, "version"),
        ({"target": "sm_120"}, "GPU"),
        ({"driver": "580.1"}, "driver"),
        ({"workspace": 512}, "workspace"),
        ({"best": (512, 256)}, "sizes"),
        ({"tile": 256}, "tile"),
    ],
)
def test_every_other_setting_is_told_apart(changed: dict[str, Any], word: str, engine: Path) -> None:
    wanted = replace(STAMP, **changed)
    assert wanted.key != STAMP.key
    (reason,) = list_differences(engine, wanted)
    assert word in reason


@pytest.mark.parametrize("damage", [b"", b"an engin", b"an Engine", b"an engine\0"])
def test_a_damaged_engine_is_recognised(damage: bytes, engine: Path) -> None:
    engine.write_bytes(damage)
    assert not is_intact(engine)
    assert list_differences(engine, STAMP) == ["its file is damaged"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "[" * 200_000, '{"format": 1}', '{"format": 2, "weights": 1}', "\udcff"]
)
def test_a_stamp_that_says_nothing_vouches_for_nothing(text: str, engine: Path) -> None:
    get_info_path(engine).write_text(text, encoding="utf-8", errors="surrogateescape")
    assert read_engine_info(engine) is None
    assert list_differences(engine, STAMP) == ["the file that describes it is missing or invalid"]


@pytest.mark.parametrize("value", [3, "64", [64], ["a", "b"], None])
def test_a_stamp_with_strange_sizes_is_none(value: Any, engine: Path) -> None:
    facts = json.loads(get_info_path(engine).read_text())
    get_info_path(engine).write_text(json.dumps({**facts, "most": value}))
    assert list_differences(engine, STAMP)


def test_an_engine_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert list_differences(tmp_path / "none.trt", STAMP) == ["it does not exist yet"]


def test_the_old_stamp_never_vouches_for_a_new_engine(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced = Path.replace

    def fails_for_the_stamp(self: Path, target: Path) -> Path:
        if target.suffix == ".json" and engine.read_bytes() == b"another":
            raise OSError(28, "No space left on device")
        return replaced(self, target)

    monkeypatch.setattr(Path, "replace", fails_for_the_stamp)
    with pytest.raises(OutputError, match="the disk is full"):
        write_engine(engine, b"another", replace(STAMP, precision="fp32"), GRAPH)
    assert list_differences(engine, STAMP)
    assert not list(engine.parent.glob("*.part"))
