"""``upscale`` with many inputs: names, trees, what exists, a stop at any moment, and settings of single files."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from upscale8k.runtime.cli.batch.job_records import JobRecord, compute_job_key

from .conftest import NULL, Place, noise, pixels_of

QUIET = ("--to", "2x", *NULL)
LOUD = ("--to", "2x", "--backend", "null", "--progress", "plain", "--models-dir", "models")


def test_files_folders_and_globs_together_and_results_beside_their_sources(place: Place) -> None:
    Path("input/sub").mkdir()
    for name in ("b.jpg", "c.bmp", "sub/d.png", "sub/e.png"):
        place.image(name)
    answer = place("upscale", "input/b.jpg", "input/sub", "input/c*.bmp", "input/b.jpg", *QUIET)
    assert answer.code == 0, answer.err
    assert answer.new == ["input/b_2x.jpg", "input/c_2x.png", "input/sub/d_2x.png", "input/sub/e_2x.png"]
    assert sorted(answer.out.splitlines()) == answer.new
    assert {pixels_of(name).shape for name in answer.new} == {(24, 32, 3)}


def test_one_file_without_a_name_for_its_result(place: Place) -> None:
    assert place("upscale", "input/a.png", "--to", "model scale", *NULL).out == "input/a_upscaled.png\n"
    assert place("upscale", "input/a.png", "--to", "40x30", *NULL).out == "input/a_40x30.png\n"


def test_results_beside_their_sources_are_no_sources_of_the_next_run(place: Place) -> None:
    assert place("upscale", "input", *QUIET).new == ["input/a_2x.png"]
    assert place("upscale", "input", "--to", "3x", *NULL).new == ["input/a_3x.png"]
    assert place("upscale", "input/a_2x.png", *QUIET).new == ["input/a_2x_2x.png"]  # named alone, it is one


def test_recursive_keeps_the_tree(place: Place) -> None:
    for folder in ("x", "y/z", "up"):
        Path("input", folder).mkdir(parents=True)
    for name in ("x/a.png", "y/z/a.png", "up/old.png"):
        place.image(name)
    assert place("upscale", "input", "-r", "-o", "input/up", *QUIET).new == [
        "input/up/" + n for n in ("a.png", "x/a.png", "y/z/a.png")
    ]
    assert place("upscale", "input/**/a.png", "-r", "-o", "two", *QUIET).new == [
        "two/a.png",
        "two/up/a.png",
        "two/up/x/a.png",
        "two/up/y/z/a.png",
        "two/x/a.png",
        "two/y/z/a.png",
    ]
    place.refuses(place("upscale", "input/**/a.png", "-o", "three", *QUIET), "would both become three/a.png", "--recursive")


def test_what_a_folder_holds_besides_is_said(place: Place) -> None:
    for name in ("sub/b.png", "other/c.txt"):
        Path("input", name).parent.mkdir()
    place.image("sub/b.png")
    for name in ("notes.txt", ".hidden", "other/c.txt"):
        Path("input", name).write_text("text")
    once = place("upscale", "input", "-o", "output", *LOUD)
    assert "Left out, no image or video: notes.txt; without -r: the folder sub.\n" in once.err
    tree = place("upscale", "input", "-r", "-o", "output", *LOUD)
    assert "Left out, no image or video: notes.txt, c.txt.\n" in tree.err
    assert "Left out" not in place("upscale", "input/a.png", "-o", "output", *LOUD).err


def test_a_name_that_we_chose_is_never_replaced_unless_asked_for(place: Place) -> None:
    Path("output/a.png").write_bytes(b"mine")
    for options in ((), ("--skip-existing",)):
        place.refuses(place("upscale", "input", "-o", "output", *QUIET, *options), "output/a.png exists already", "--overwrite")
        assert Path("output/a.png").read_bytes() == b"mine"
    assert place("upscale", "input", "-o", "output", "--overwrite", *QUIET).out == "output/a.png\n"
    assert pixels_of("output/a.png").shape == (24, 32, 3)


def test_the_same_command_again_computes_only_what_changed(place: Place) -> None:
    place.image("b.png", noise(8, 8))
    command = ("upscale", "input", "-o", "output", *LOUD)
    assert place(*command).code == 0
    before = {name: Path(f"output/{name}").stat().st_mtime_ns for name in ("a.png", "b.png")}
    again = place(*command)
    assert (again.code, again.out.splitlines()) == (0, ["output/a.png", "output/b.png"])
    assert "0 of 2 done" in again.err
    assert "2 there already" in again.err
    assert {name: Path(f"output/{name}").stat().st_mtime_ns for name in before} == before
    place.image("b.png", noise(8, 8, 3)[::-1].copy())
    changed = place(*command)
    assert changed.code == 2
    assert "output/b.png exists already, of another source" in changed.err
    assert Path("output/a.png").stat().st_mtime_ns == before["a.png"]
    replaced = place(*command, "--overwrite", "--skip-existing")
    assert "1 of 2 done" in replaced.err
    assert pixels_of("output/b.png").shape == (16, 16, 3)
    assert np.array_equal(pixels_of("output/b.png"), pixels_of(place("upscale", "input/b.png", "-o", "b.png", *QUIET).new[0]))
    assert Path("output/a.png").stat().st_mtime_ns == before["a.png"]


def test_a_named_result_is_kept_when_asked_for_and_it_is_the_same(place: Place) -> None:
    command = ("upscale", "input/a.png", "-o", "output/b.png", "--skip-existing", *NULL)
    assert place(*command, "--to", "2x").code == 0
    before = Path("output/b.png").stat().st_mtime_ns
    assert place(*command, "--to", "2x").out == "output/b.png\n"
    assert Path("output/b.png").stat().st_mtime_ns == before
    assert place(*command, "--to", "3x").code == 0
    assert pixels_of("output/b.png").shape == (36, 48, 3)
    Path("output/b.png").write_bytes(b"changed by another program")
    assert place(*command, "--to", "3x").code == 0
    assert pixels_of("output/b.png").shape == (36, 48, 3)


def test_a_file_that_appears_meanwhile_is_not_replaced(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from upscale8k.runtime.upscale.backends.null import NullBackend

    run = NullBackend.run

    def run_and_be_overtaken(self: NullBackend, *arguments: object) -> np.ndarray:
        Path("output/a.png").write_bytes(b"of another program")
        return run(self, *arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(NullBackend, "run", run_and_be_overtaken)
    answer = place("upscale", "input", "-o", "output", *QUIET)
    assert answer.code != 0
    assert "output/a.png exists already" in answer.err
    assert Path("output/a.png").read_bytes() == b"of another program"


def test_progress_counts_files_and_the_summary_says_what_failed(place: Place) -> None:
    Path("input/b.png").write_text("no image")
    answer = place("upscale", "input", "-o", "output", *LOUD)
    assert "2 of 2, b.png" in answer.err
    *_, count, failure = answer.err.splitlines()
    assert count.startswith("1 of 2 done in 0:0")
    assert count.endswith("1 failed.")
    assert failure.startswith("  input/b.png: ")
    assert "it is text" in failure
    events = [json.loads(line) for line in place("upscale", "input", "-o", "two", *LOUD, "--progress", "json").err.splitlines()]
    first, second = (event for event in events if event["event"] == "job")
    assert first["eta_seconds"] is None
    assert second.pop("eta_seconds") > 0
    assert second == {"event": "job", "number": 2, "total": 2, "source": "input/b.png"}
    assert [event["total"] for event in events if event["event"] == "summary"] == [2]
    assert {event["node_id"] for event in events if event.get("node") == "Image In"} <= {"2"}
    assert [list(event["failed"]) for event in events if event["event"] == "summary"] == [["input/b.png"]]


def test_weights_are_loaded_once_for_all_files(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from upscale8k.runtime.models import load

    loaded: list[str] = []
    read = load.read_state_dict
    monkeypatch.setattr(load, "read_state_dict", lambda path, origin: loaded.append(path.name) or read(path, origin))
    load._model_cache.clear()
    for name in ("b.png", "c.png"):
        place.image(name)
    assert len(place("upscale", "input", "-o", "output", *QUIET).new) == 3
    assert len(loaded) == 1


def start(folder: Path, root: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "runtime", "upscale", str(folder / "input"), "-o", str(folder / "output"), "--to", "4x"]
    return subprocess.Popen(
        [*command, "-m", "realesr-animevideov3", "--backend", "null", "--progress", "none"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("images", "kills"),
    [
        (12, (1, 6)),
        pytest.param(500, tuple(range(20, 500, 48)), marks=[pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(3600)]),
    ],
)
def test_a_folder_that_is_killed_ends_with_every_image_once(
    place: Place, root: Path, images: int, kills: tuple[int, ...]
) -> None:
    Path("input/a.png").unlink()
    for number in range(images):
        place.image(f"{number:03}.png", noise(16, 16) // 2 + number % 100)
    finished: dict[str, int] = {}

    def results() -> dict[str, int]:
        return {path.name: path.stat().st_ino for path in Path("output").glob("*.png")}

    for count in kills:
        process = start(place.folder, root)
        while len(results()) < count and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert finished.items() <= results().items()
        finished = results()
    last = start(place.folder, root)
    out, err = last.communicate()
    assert last.returncode == 0, err
    assert len(out.splitlines()) == images
    assert finished.items() <= results().items()  # none was computed twice
    assert sorted(results()) == [f"{number:03}.png" for number in range(images)]
    for number in range(images):
        before = noise(16, 16) // 2 + number % 100
        assert np.array_equal(pixels_of(f"output/{number:03}.png")[::4, ::4], before)


def test_runs_side_by_side_lose_nothing(place: Place, root: Path) -> None:
    for name in ("b.png", "c.png", "d.png"):
        place.image(name)
    processes = [start(place.folder, root) for _ in range(3)]
    answers = [process.communicate() for process in processes]
    for process, (_, err) in zip(processes, answers, strict=True):
        assert process.returncode == 0 or "Another run is writing" in err, err
    assert {path.name for path in Path("output").iterdir()} == {"a.png", "b.png", "c.png", "d.png"}
    assert all(pixels_of(path).shape == (48, 64, 3) for path in Path("output").iterdir())


def test_a_result_that_was_published_just_before_a_kill_counts_as_done(tmp_path: Path, place: Place) -> None:
    record = JobRecord(tmp_path / "r.png", compute_job_key(Path("input/a.png"), ["x"]))
    assert not record.is_done()
    with pytest.raises(KeyboardInterrupt), record.begin():
        record.result.write_bytes(b"whole")
        raise KeyboardInterrupt
    assert record.is_done()
    assert not JobRecord(record.result, compute_job_key(Path("input/a.png"), ["y"])).is_done()
    other = JobRecord(record.result, "other")
    with pytest.raises(KeyboardInterrupt), other.begin():
        raise KeyboardInterrupt
    assert not other.is_done()  # the file is what it was before


TOML = """
[[job]]
source = "input/a.png"
output = "made/small.png"
to = "2x"

[[job]]
source = "input/b*.png"
to = "40x30"
"ImageOut.format" = "jpg"
"ImageOut.quality" = 50
"""


def write_jobs(text: str, name: str) -> Path:
    Path(name).write_text(text, encoding="utf-8")
    return Path(name)


def test_a_job_file_sets_what_each_file_needs(place: Place) -> None:
    place.image("b1.png")
    answer = place("upscale", "--jobs", write_jobs(TOML, "jobs.toml"), "-o", "made", "--to", "4x", *NULL)
    assert (answer.code, answer.new) == (0, ["made/b1.png", "made/small.png"]), answer.err
    assert pixels_of("made/small.png").shape == (24, 32, 3)
    assert pixels_of("made/b1.png").shape == (30, 40, 3)
    Path("sub").mkdir()
    table = write_jobs("source,to,ImageOut.bit_depth\n../input/a.png,,16\n../input/b1.png,2x,\n", "sub/jobs.csv")
    answer = place("upscale", "--jobs", table, "-o", "csv", "--to", "4x", *NULL)
    assert (answer.code, answer.new) == (0, ["csv/a.png", "csv/b1.png"]), answer.err
    assert pixels_of("csv/a.png").shape[:2] == (48, 64)
    assert pixels_of("csv/b1.png").shape[:2] == (24, 32)
    with Image.open("csv/a.png") as image:
        assert image.tile[0][3] == "RGB;16B"


@pytest.mark.parametrize(
    ("name", "text", "facts"),
    [
        ("j.toml", "", ["j.toml names no file"]),
        ("j.toml", "job = 3", ["[[job]]"]),
        ("j.toml", "[[job", ["j.toml is not a job file"]),
        ("j.csv", "source,to\n,2x\n", ["j.csv, job 1: It has no source"]),
        ("j.csv", "source,size\ninput/a.png,2x\n", ["job 1: Unknown setting 'size'", "NODE.INPUT"]),
        ("j.csv", "source,tile\ninput/a.png,big\n", ["job 1: tile is 'big'"]),
        ("j.csv", "source,tile,batch\ninput/a.png,-4,1\n", ["job 1: tile is '-4'"]),
        ("j.csv", "source\ninput/none.png\n", ["There is no file or folder input/none.png"]),
        ("j.csv", "source,output\ninput/a.png,x.png\ninput/a.png,x.png\n", ["would both become x.png"]),
    ],
)
def test_a_wrong_job_file_is_said(place: Place, name: str, text: str, facts: list[str]) -> None:
    place.refuses(place("upscale", "--jobs", write_jobs(text, name), *QUIET), *facts)


@pytest.mark.parametrize("arguments", [(), ("input/a.png", "--jobs", "j.csv")])
def test_something_must_be_named_and_only_once(place: Place, arguments: tuple[str, ...]) -> None:
    write_jobs("source\ninput/a.png\n", "j.csv")
    place.refuses(place("upscale", *arguments, *QUIET), "--jobs")


def test_a_sequence_needs_a_name(place: Place) -> None:
    place.refuses(place("upscale", "input/%04d.png", *QUIET), "input/%04d.png is an image sequence", "-o")
