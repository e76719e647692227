"""Paths stay inside their folders, and results are named and counted as ComfyUI names and counts them."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from upscale8k.runtime.atomic_write import find_next_counter
from upscale8k.runtime.errors import MediaError, OutputError
from upscale8k.runtime.host import LocalHost
from upscale8k.runtime.paths import expand_tokens, list_files, resolve_inside, split_annotation

from .comfyui.peer.tree import require_tree

NOON = time.struct_time((2024, 3, 5, 12, 7, 9, 1, 65, 0))


@pytest.fixture
def host(tmp_path: Path) -> LocalHost:
    for name in ("input", "output", "shipped"):
        (tmp_path / name).mkdir()
    return LocalHost(tmp_path / "input", tmp_path / "output", shipped_inputs=(tmp_path / "shipped",))


# Containment.


@pytest.mark.parametrize("name", ["a.png", "sub/a.png", "./a.png", "sub/../a.png", "..a.png", "a..png", "", "sub//a.png"])
def test_a_name_inside_stays_inside(tmp_path: Path, name: str) -> None:
    assert resolve_inside(tmp_path, name) == Path(os.path.normpath(tmp_path / name))


@pytest.mark.parametrize(
    "name",
    ["..", "../a", "sub/../../a", "/etc/passwd", "//etc/passwd", "a\0b", "\0", "\udc80/../../x", "x" * 70_000 + "/../../.."],
)
def test_a_name_outside_is_none(tmp_path: Path, name: str) -> None:
    assert resolve_inside(tmp_path, name) is None


def test_a_folder_whose_name_begins_alike_is_outside(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert resolve_inside(tmp_path / "in", f"{tmp_path}/in-secret/a") is None
    assert resolve_inside(tmp_path / "in", "../in-secret/a") is None


def test_links_are_followed_before_they_are_judged(tmp_path: Path) -> None:
    root = tmp_path / "home"
    (root / "real").mkdir(parents=True)
    (root / "inside").symlink_to(root / "real")
    (root / "outside").symlink_to(tmp_path)
    (root / "circle").symlink_to(root / "circle")
    assert resolve_inside(root, "inside/a.png") == root / "real/a.png"
    assert resolve_inside(root, "outside/a.png") is None
    assert resolve_inside(root, "outside/home/real/a.png") == root / "real/a.png"
    (tmp_path / "door").symlink_to(root)
    assert resolve_inside(tmp_path / "door", "real/a.png") == root / "real/a.png"


# Inputs.


@pytest.mark.parametrize(
    ("name", "plain", "folder"),
    [
        ("x.png", "x.png", "input"),
        ("x.png [output]", "x.png", "output"),
        ("sub/x.png [temp]", "sub/x.png", "temp"),
        ("x.png [input]", "x.png", "input"),
        ("x.png[output]", "x.png", "output"),
        ("x [draft].png", "x [draft].png", "input"),
        ("x.png [draft]", "x.png [draft]", "input"),
        ("[output] x.png", "[output] x.png", "input"),
    ],
)
def test_a_name_may_say_its_folder(name: str, plain: str, folder: str) -> None:
    assert split_annotation(name) == (plain, folder)


def test_an_input_is_found_where_its_name_says(host: LocalHost, tmp_path: Path) -> None:
    for name in ("input/a.png", "output/b.png", "shipped/c.png", "shipped/a.png"):
        (tmp_path / name).write_bytes(b"")
    assert host.find_input("a.png") == tmp_path / "input/a.png"  # a person's own file goes before the shipped one
    assert host.find_input("b.png [output]") == tmp_path / "output/b.png"
    assert host.find_input("c.png") == tmp_path / "shipped/c.png"
    with pytest.raises(MediaError, match="not in the output folder"):
        host.find_input("c.png [output]")


@pytest.mark.parametrize("name", ["../a.png", "/etc/hostname", "a\0.png", "../input-2/a.png", "../output/a.png [input]"])
def test_an_input_outside_is_refused_although_it_exists(host: LocalHost, tmp_path: Path, name: str) -> None:
    for place in ("a.png", "input-2/a.png", "output/a.png"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(b"")
    with pytest.raises(MediaError, match="is outside the input folder") as refused:
        host.find_input(name)
    assert str(tmp_path / "input") in str(refused.value)


@pytest.mark.parametrize("name", ["gone.png", "", ".", "folder.png", "x" * 300, "y" * 5000])
def test_what_is_no_file_is_refused(host: LocalHost, tmp_path: Path, name: str) -> None:
    (tmp_path / "input/folder.png").mkdir()
    with pytest.raises(MediaError, match=r"not in the input folder .*/input\."):
        host.find_input(name)


def test_messages_name_whole_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MediaError, match=f"not in the input folder {tmp_path}/input, which does not exist"):
        LocalHost().find_input("a.png")


def test_the_list_of_inputs_has_files_of_the_wanted_kinds_only(host: LocalHost, tmp_path: Path) -> None:
    for name in ("input/b.PNG", "input/a.png", "input/notes.txt", "shipped/a.png", "shipped/c.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "input/folder.png").mkdir()
    (tmp_path / "input/dangling.png").symlink_to(tmp_path / "gone")
    assert host.input_files((".png",)) == ["a.png", "b.PNG", "c.png"]
    assert list_files(tmp_path / "gone", (".png",)) == []
    assert list_files(tmp_path / "input/a.png", (".png",)) == []


# Outputs.


def test_counting_goes_on_after_the_highest_number(host: LocalHost, tmp_path: Path) -> None:
    assert host.output_path("output", "a", ".png") == tmp_path / "output/a_00001_.png"
    for name in ("a_00007_.png", "a_00003_.jpg", "ab_00100_.png", "a_x_.png", "a.png"):
        (tmp_path / "output" / name).write_bytes(b"")
    assert host.output_path("output", "a", ".webp") == tmp_path / "output/a_00008_.webp"
    assert host.output_path("output", "sub/a", ".png") == tmp_path / "output/sub/a_00001_.png"


def test_a_prefix_that_ends_in_a_slash_never_overwrites(host: LocalHost, tmp_path: Path) -> None:
    """In ComfyUI every such file is called ``_00001_`` and replaces the one before."""
    for number in (1, 2):
        path = host.output_path("output", "video/", ".png")
        assert path == tmp_path / f"output/video/Upscale8K_0000{number}_.png"
        path.write_bytes(b"")
    assert host.output_path("output", "", ".png").parent == tmp_path / "output"


@pytest.mark.parametrize("name", ["../a", "sub/../../a", "/etc/a", "a\0", "linked/a", "../output", ".", ".."])
def test_an_output_outside_is_refused_and_nothing_is_made(host: LocalHost, tmp_path: Path, name: str) -> None:
    (tmp_path / "output/linked").symlink_to(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for ask in (host.check_output, host.output_file):
        with pytest.raises(OutputError, match="leads outside the output folder"):
            ask("output", name)
    with pytest.raises(OutputError, match="leads outside the output folder"):
        host.output_path("output", name, ".png")
    assert sorted(tmp_path.rglob("*")) == before


def test_the_check_makes_no_folder_and_the_output_does(host: LocalHost, tmp_path: Path) -> None:
    host.check_output("output", "new/deep/a")
    assert list((tmp_path / "output").iterdir()) == []
    assert host.output_file("output", "new/deep/a.png") == tmp_path / "output/new/deep/a.png"
    assert (tmp_path / "output/new/deep").is_dir()


@pytest.mark.parametrize("name", ["file/a", "file/deeper/a"])
def test_a_file_where_a_folder_is_wanted_is_named(host: LocalHost, tmp_path: Path, name: str) -> None:
    (tmp_path / "output/file").write_bytes(b"")
    for ask in (host.check_output, host.output_file):
        with pytest.raises(OutputError, match=f"{tmp_path}/output/file is a file"):
            ask("output", name)


def test_a_folder_that_may_not_be_written_is_named(
    host: LocalHost, tmp_path: Path, lock_folder: Callable[[Path], None]
) -> None:
    lock_folder(tmp_path / "output")
    with pytest.raises(OutputError, match=f"{tmp_path}/output is not readable and writable"):
        host.check_output("output", "sub/a")


def test_the_temporary_folder_is_gone_when_the_host_is_closed(host: LocalHost) -> None:
    folder = host.output_path("temp", "sub/a", ".png").parent
    assert folder.is_dir()
    host.close()
    assert not folder.parent.exists()
    host.close()


def test_the_limit_of_the_run_goes_before_that_of_a_node() -> None:
    assert LocalHost().get_max_input_pixels() == 1_000_000_000
    assert LocalHost().get_max_input_pixels(5) == 5
    assert LocalHost(max_pixels=7).get_max_input_pixels(5) == LocalHost(max_pixels=7).get_max_input_pixels() == 7


def test_tokens_are_filled_in_and_others_are_left() -> None:
    text = "%width%x%height% %year%-%month%-%day% %hour%:%minute%:%second% %batch_num% %Seed.seed% 100%"
    assert expand_tokens(text, width=7680, height=4320, now=NOON) == (
        "7680x4320 2024-03-05 12:07:09 %batch_num% %Seed.seed% 100%"
    )


# ComfyUI's own answers.

PEER = """
import json, os, sys, time
sys.argv = sys.argv[:1]
sys.path.insert(0, os.getcwd())
import folder_paths
time.localtime = lambda *_: time.struct_time((2024, 3, 5, 12, 7, 9, 1, 65, 0))
answers = []
for kind, root, name in json.load(sys.stdin):
    try:
        if kind == "save":
            folder, stem, counter, subfolder, _ = folder_paths.get_save_image_path(name, root, 640, 480)
            answers.append([os.path.join(folder, f"{stem}_{counter:05}_.png"), subfolder])
        else:
            folder_paths.set_input_directory(os.path.join(root, "input"))
            folder_paths.set_output_directory(os.path.join(root, "output"))
            answers.append(folder_paths.get_annotated_filepath(name) if folder_paths.exists_annotated_filepath(name) else None)
    except Exception:
        answers.append(None)
json.dump(answers, sys.stdout)
"""


def comfyui_answers(questions: list[tuple[str, str, str]]) -> list[Any]:
    """What ComfyUI's ``folder_paths`` makes of them, all in one process."""
    done = subprocess.run(
        [sys.executable, "-c", PEER],
        cwd=require_tree(),
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


PREFIXES = ["a", "ab", "a_b", "a.b", "a_1", "7", "sub/a", "sub/deep/a", "%year%-%month%/%width%", "a%second%_%height%", "ä ö"]
ENDINGS = ["_.png", ".png", "_", "", "_x.png", ".tar.gz", "_00012_.png", "x.png"]


@pytest.mark.comfyui
def test_names_and_counters_are_comfyuis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred folders of files that look like results, more or less. (It counts on from ``a_-5_``; we take no minus.)"""
    chance = random.Random(8)
    questions, ours = [], []
    monkeypatch.setattr(time, "localtime", lambda: NOON)
    for case in range(100):
        root, prefix = tmp_path / str(case), chance.choice(PREFIXES)
        named = root / expand_tokens(prefix, width=640, height=480, now=NOON)
        named.parent.mkdir(parents=True)
        for _ in range(chance.randrange(6)):
            stem = chance.choice([named.name, named.name, "other", f"{named.name}_more", named.name[:1]])
            number = chance.choice(["00001", "3", "00042", "100000", "x", "1e3", ""])
            (named.parent / f"{stem}_{number}{chance.choice(ENDINGS)}").write_bytes(b"")
        questions.append(("save", str(root), prefix))
    theirs = comfyui_answers(questions)
    for _, root, prefix in questions:
        ours.append(str(LocalHost(output_dir=Path(root)).output_path("output", prefix, ".png", width=640, height=480)))
    assert ours == [answer[0] for answer in theirs]
    assert len({Path(path).name for path in ours}) > 20


@pytest.mark.comfyui
@pytest.mark.parametrize("prefix", ["../a", "sub/../../a", "/etc/a", "linked/a", "../output-2/a"])
def test_comfyui_refuses_the_same_outputs(host: LocalHost, tmp_path: Path, prefix: str) -> None:
    (tmp_path / "output/linked").symlink_to(tmp_path)
    (tmp_path / "output-2").mkdir()
    assert comfyui_answers([("save", str(tmp_path / "output"), prefix)]) == [None]
    with pytest.raises(OutputError):
        host.output_path("output", prefix, ".png")


@pytest.mark.comfyui
def test_comfyui_finds_the_same_inputs(host: LocalHost, tmp_path: Path) -> None:
    (tmp_path / "input/sub").mkdir()
    (tmp_path / "input/linked").symlink_to(tmp_path)
    for name in ("input/a.png", "input/sub/a.png", "output/b.png", "secret.png"):
        (tmp_path / name).write_bytes(b"")
    names = ["a.png", "sub/a.png", "b.png [output]", "a.png [input]", "b.png", "gone.png", "a.png [output]"]
    names += [
        "../secret.png",
        "sub/../../secret.png",
        "linked/secret.png",
        str(tmp_path / "secret.png"),
        "../secret.png [output]",
    ]

    def found(name: str) -> str | None:
        try:
            return str(host.find_input(name))
        except MediaError:
            return None

    theirs = comfyui_answers([("load", str(tmp_path), name) for name in names])
    assert [found(name) for name in names] == [path and os.path.realpath(path) for path in theirs]
    assert [path is not None for path in theirs] == [True] * 4 + [False] * 8


def test_the_counter_reads_no_number_that_is_part_of_a_word(tmp_path: Path) -> None:
    for name in ("a_12x_.png", "a_5", "a_6.png", "a_9_9_.png"):
        (tmp_path / name).write_bytes(b"")
    assert find_next_counter(tmp_path, "a") == 10
