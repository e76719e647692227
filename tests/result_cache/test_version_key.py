"""What makes a result count as changed: code, libraries, content of files; never their time stamps."""

import math
import os
from pathlib import Path
from typing import Any

import pytest
from upscale8k.runtime.result_cache import version_key
from upscale8k.runtime.result_cache.version_key import VersionKeyBuilder, get_library_versions


def node(**attributes: Any) -> type:
    hidden = attributes.pop("hidden", {})
    return type("Node", (), {"INPUT_TYPES": classmethod(lambda cls: {"required": {}, "hidden": hidden}), **attributes})


OURS, THEIRS = node(), node()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("own/nodes/a.py", "own/engine/b.py", "pack/__init__.py", "pack/sub/c.py", "input/a.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    return tmp_path


def version(tree: Path, cls: type = OURS, literals: Any = None, changed: Any = None, settings: Any = ("cpu",)) -> Any:
    def find(text: str) -> Path | None:
        return tree / "input" / text if (tree / "input" / text).is_file() else None

    own = (tree / "own" / "nodes", tree / "own" / "engine")
    return VersionKeyBuilder(find, own, {THEIRS: tree / "pack"}, settings)(cls, literals or {}, changed)


@pytest.mark.parametrize(
    ("file", "ours", "theirs"),
    [("own/nodes/a.py", True, False), ("own/engine/b.py", True, False), ("pack/sub/c.py", False, True)],
)
def test_a_changed_line_of_code_changes_the_classes_of_its_pack(tree: Path, file: str, ours: bool, theirs: bool) -> None:
    before = version(tree), version(tree, THEIRS)
    (tree / file).write_text("2")
    assert (version(tree) != before[0], version(tree, THEIRS) != before[1]) == (ours, theirs)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx"])
def test_a_library_that_is_installed_or_updated_later_counts(name: str, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed: dict[str, str] = {}
    real = version_key.version
    monkeypatch.setattr(version_key, "version", lambda asked: installed[asked] if asked in installed else real(asked))
    without = version(tree)
    installed[name] = "1.0"
    before = version(tree)
    installed[name] = "1.1"
    assert len({str(one) for one in (without, before, version(tree))}) == 3


def test_a_file_of_ours_that_is_no_code_counts_by_its_content(tree: Path) -> None:
    table = tree / "catalog.toml"
    seen: list[Any] = []
    for content in ("halo = 8", "halo = 9", "halo = 8"):
        table.write_text(content)
        seen.append(VersionKeyBuilder(lambda text: None, (tree / "own", table), {}, ())(OURS, {}, None))
    assert seen[0] == seen[2] != seen[1]


def test_a_new_or_renamed_module_changes_them_too(tree: Path) -> None:
    before = version(tree, THEIRS)
    (tree / "pack" / "sub" / "c.py").rename(tree / "pack" / "sub" / "d.py")
    assert version(tree, THEIRS) != before


def test_the_content_of_a_named_file_counts_and_its_time_does_not(tree: Path) -> None:
    literals = {"image": "a.png", "list": {"__value__": ["b.png"]}}
    before = version(tree, literals=literals, changed=["/input/a.png:123"])
    os.utime(tree / "input" / "a.png", (1, 1))
    assert version(tree, literals=literals, changed=["/elsewhere/a.png:456"]) == before
    (tree / "input" / "a.png").write_text("2")
    assert version(tree, literals=literals) != before
    (tree / "input" / "a.png").write_text("1")
    (tree / "input" / "b.png").write_text("new")
    assert version(tree, literals=literals) != before


def test_what_another_pack_says_has_changed_counts_always(tree: Path) -> None:
    assert version(tree, THEIRS, {"image": "a.png"}, 1) != version(tree, THEIRS, {"image": "a.png"}, 2)
    assert version(tree, OURS, {"number": 1}, 1) != version(tree, OURS, {"number": 1}, 2)


def test_settings_count(tree: Path) -> None:
    assert version(tree, settings=("cpu",)) != version(tree, settings=("cuda", "NVIDIA H200"))


@pytest.mark.parametrize("changed", [float("nan"), [float("nan")], object()])
def test_a_class_that_says_it_may_differ_every_time_is_believed(tree: Path, changed: Any) -> None:
    assert math.isnan(version(tree, OURS, {"image": "a.png"}, changed))


@pytest.mark.parametrize("kind", ["PROMPT", "DYNPROMPT", "EXTRA_PNGINFO"])
def test_a_node_that_sees_the_whole_workflow_may_differ_unless_it_only_writes_it_down(tree: Path, kind: str) -> None:
    assert math.isnan(version(tree, node(hidden={"seen": kind})))
    assert version(tree, node(hidden={"seen": kind}, OUTPUT_NODE=True)) == version(tree)


def test_the_libraries_that_compute_pixels_are_named_with_their_versions() -> None:
    import torch

    assert get_library_versions()["torch"].split("+")[0] == torch.__version__.split("+")[0]
