"""Progress: a line now and then, JSON lines, or nothing; all of it on stderr, with the time that is left."""

import json
import re
from pathlib import Path

import pytest
from upscale8k.runtime.cli.display import DISPLAY_MODES, ProgressState, estimate_remaining_seconds, open_display

from .conftest import Place, Prompt, noise

SMALL_TILES = ("--backend", "null", "--models-dir", "models", "--set", "3.tile=32")


@pytest.fixture(autouse=True)
def six_tiles(place: Place) -> None:
    """a.png is larger here: tiles are at least 32 pixels wide."""
    place.image("a.png", noise(64, 96))


def test_json_lines_parse_and_say_how_long_it_will_take(place: Place, prompt: Prompt) -> None:
    answer = place("run", place.save(prompt), *SMALL_TILES, "--progress", "json")
    events = [json.loads(line) for line in answer.err.splitlines()]
    assert [event["node"] for event in events if event["event"] == "node"][-1] == "SaveImage"
    progress = [event for event in events if event["event"] == "progress"]
    assert {"event", "node", "node_id", "done", "total", "unit", "elapsed_seconds", "eta_seconds"} == set(progress[0])
    assert progress[0]["eta_seconds"] is None
    assert (progress[-1]["done"], progress[-1]["eta_seconds"]) == (96 * 64, 0)
    assert [event["done"] for event in progress] == sorted(event["done"] for event in progress)
    assert {event["node"] for event in progress} == {"The enlarger"}


def test_plain_lines_have_a_percentage_and_an_eta(place: Place, prompt: Prompt) -> None:
    answer = place("run", place.save(prompt), *SMALL_TILES, "--progress", "plain")
    lines = answer.err.splitlines()
    assert all(re.fullmatch(r"The enlarger: +\d+ %, \d+:\d\d elapsed, (\d+:\d\d|\?:\?\?) left", line) for line in lines), lines
    assert lines[-1].startswith("The enlarger: 100 %, ")
    assert len(lines) == 2  # nothing in between within five seconds


@pytest.mark.parametrize("mode", ["plain", "json"])
def test_the_end_is_said_once(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    with open_display(mode).track_progress(10, "tile") as progress:
        progress.advance(10)
        progress.advance(0)
        assert len(capsys.readouterr().err.splitlines()) == 2  # the beginning, and the end
        progress.update(reused=3)
        progress.advance(0)
        assert "reused" in capsys.readouterr().err


def test_none_is_nothing(place: Place, prompt: Prompt) -> None:
    answer = place("run", place.save(prompt), *SMALL_TILES, "--progress", "none")
    assert (answer.code, answer.err) == (0, "")


def test_a_bar_leaves_nothing_behind_on_stdout(place: Place, prompt: Prompt) -> None:
    prompt["3"]["_meta"]["title"] = "[/red] :smile: [bold]"  # no markup of the bar's
    answer = place("run", place.save(prompt), *SMALL_TILES, "--progress", "rich")
    assert (answer.code, answer.out) == (0, "output/result_00001_.png\n")


def test_auto_is_plain_without_a_terminal(place: Place, prompt: Prompt) -> None:
    assert "The enlarger: 100 %" in place("run", place.save(prompt), *SMALL_TILES).err


@pytest.mark.parametrize("mode", [mode for mode in DISPLAY_MODES if mode != "none"])
def test_a_decision_is_said_in_every_mode(place: Place, mode: str) -> None:
    answer = place("upscale", "input/a.png", "-o", "output", "--to", "48x32", "--progress", mode, *SMALL_TILES[:4])
    said = [json.loads(line).get("text", "") for line in answer.err.splitlines()] if mode == "json" else [answer.err]
    text = " ".join(" ".join(said).split())
    assert "The source (96x64) is larger than the target: it is reduced to 48x32, not upscaled." in text
    assert Path("output/a.png").is_file()


@pytest.mark.parametrize(
    ("done", "total", "seconds", "left"), [(1, 4, 2.0, 6.0), (3, 4, 6.0, 2.0), (4, 4, 9.0, 0.0), (0, 4, 1.0, None)]
)
def test_what_is_left_goes_at_the_pace_so_far(done: int, total: int, seconds: float, left: float | None) -> None:
    assert estimate_remaining_seconds(done, total, seconds) == left


def test_hours_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    display = open_display("plain")
    display.start_node("Video")
    display.show_progress(ProgressState(3, "tile", 1, 3725.0))
    assert capsys.readouterr().err == "Video:  33 %, 1:02:05 elapsed, 2:04:10 left\n"


def test_a_video_shows_its_pace_without_what_an_earlier_run_did(capsys: pytest.CaptureFixture[str]) -> None:
    """110 of 200 frames are there after 5 seconds, but 100 of them were there before: 2 a second, 45 s for the other 90."""
    work = ProgressState(200, "frame", 110, 5.0, {"resumed": 100, "bytes": 1_500_000, "reused": 0})
    display = open_display("plain")
    display.show_progress(work)
    assert capsys.readouterr().err == " 55 %, 0:05 elapsed, 0:45 left, 2 frames/s, 100 resumed, 1.5 MB\n"
    display = open_display("json")
    display.show_progress(work)
    event = json.loads(capsys.readouterr().err)
    assert (event["frames_per_second"], event["eta_seconds"], event["bytes"], event["resumed"]) == (2.0, 45.0, 1_500_000, 100)


@pytest.mark.parametrize(("total", "done"), [(0, 110), (100, 110)], ids=["unknown", "the estimate was passed"])
def test_without_a_total_there_is_no_percentage_and_no_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, total: int, done: int
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes this for a terminal
    monkeypatch.setenv("COLUMNS", "160")
    work = ProgressState(total, "frame", done, 55.0, {"bytes": 1_500_000})
    open_display("plain").show_progress(work)
    assert capsys.readouterr().err == "110 frames, 0:55 elapsed, 2 frames/s, 1.5 MB\n"
    open_display("json").show_progress(work)
    event = json.loads(capsys.readouterr().err)
    assert (event["total"], event["eta_seconds"], event["done"], event["frames_per_second"]) == (None, None, 110, 2.0)
    live = open_display("rich")
    live.show_progress(work)
    live.clear_progress()
    shown = capsys.readouterr().err
    assert "110 frames" in shown
    assert "%" not in shown
    assert "left" not in shown
