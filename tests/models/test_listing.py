from pathlib import Path

from upscale8k.runtime.models.catalog import load_catalog
from upscale8k.runtime.models.listing import list_models

from .conftest import DEPENDENCY_IDS


def test_without_folders_the_dependency_is_here_and_the_rest_can_be_pulled() -> None:
    rows = list_models([])
    assert [row.id for row in rows] == list(load_catalog())
    assert [row.id for row in rows if row.state == "dependency"] == DEPENDENCY_IDS
    assert all(row.state == "pull" and row.path is None for row in rows if row.id not in DEPENDENCY_IDS)


def test_a_row_says_what_there_is_to_know(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "BSRGAN.pth"
    path.parent.mkdir()
    path.write_bytes(b"12345")
    (row,) = [row for row in list_models([tmp_path]) if row.id == "bsrgan-x4"]
    assert (row.title, row.scale, row.licence, row.bytes, row.state, row.path) == (
        "BSRGAN x4",
        4,
        "Apache-2.0",
        5,
        "folder",
        path,
    )
    assert row.good_for == "old and badly damaged photographs"


def test_the_size_of_what_can_be_pulled_is_the_official_files() -> None:
    sizes = {row.id: row.bytes for row in list_models([])}
    assert sizes["swinir-l-x4"] == 142_473_939
    assert sizes["bsrnet-x4"] is None


def test_other_files_follow_under_their_names(tmp_path: Path) -> None:
    for name in ("4x-UltraSharp.pth", "BSRGAN.pth", "anime/mine.safetensors"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"1234567")
    others = list_models([tmp_path])[len(load_catalog()) :]
    assert [(row.id, row.bytes, row.state, row.scale) for row in others] == [
        ("4x-UltraSharp.pth", 7, "folder", None),
        ("anime/mine.safetensors", 7, "folder", None),
    ]
