"""Another checkout and this one upscale a video in turn; both are this one here."""

import re
from pathlib import Path

import pytest
from upscale8k.runtime.bench import shared_video
from upscale8k.runtime.bench.shared_video import benchmark_checkouts
from upscale8k.runtime.bench.video import write_test_video
from upscale8k.runtime.cli import main
from upscale8k.runtime.media.geometry import Size


def test_both_take_turns_and_the_ratio_is_that_of_their_medians(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, calls = [0.0], list[Path]()

    def upscale(source: Path, result: Path, options: object, checkout: Path) -> None:
        assert (result.suffix, result.parent.is_dir()) == (".mp4", True)
        calls.append(checkout)
        clock[0] += 2.0 if checkout == root else 8.0

    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "__main__.py").touch()
    monkeypatch.setattr(shared_video, "_upscale", upscale)
    monkeypatch.setattr(shared_video.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(shared_video, "_sum_child_seconds", lambda: clock[0] / 2)
    lines = benchmark_checkouts(tmp_path / "clip.mp4", tmp_path, [], 3).splitlines()
    assert calls == [tmp_path, root] * 3
    assert lines[1:] == ["wall: 8.0 s, 2.0 s, 0.25 times as long", "processor: 4.0 s, 1.0 s, 0.25 times as long"]


def test_a_folder_that_is_no_checkout_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "checkout", str(tmp_path), str(tmp_path / "clip.mp4")]) == 2
    assert f"{tmp_path} is no checkout of this project." in capsys.readouterr().err


@pytest.mark.slow
def test_a_tiny_real_run(tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_test_video(tmp_path / "clip.mp4", Size(64, 48), 2)
    assert main(["bench", "checkout", str(root), str(tmp_path / "clip.mp4"), "--to", "2x", "--runs", "1"]) == 0
    assert re.search(r"^wall: [\d.]+ s, [\d.]+ s, [\d.]+ times as long$", capsys.readouterr().out, re.MULTILINE)
