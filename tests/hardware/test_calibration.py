"""Measuring, and keeping what was measured in a file that anything may have happened to."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upscale8k.runtime.hardware.calibration import (
    CalibrationSubject,
    Measurement,
    get_calibration_path,
    load_calibration,
    measure_footprint,
    measure_in_turn,
    store_calibration,
)
from upscale8k.runtime.hardware.tile_memory import fit_footprint

SUBJECT = CalibrationSubject("NVIDIA H200", "torch 2.13.0, driver 580", "ESRGAN", 4, "torch", "fp16")
MEASUREMENT = Measurement(5000.5, 1e8, 0.25, 1e-6, "2026-11-28")


def test_what_was_measured_is_recalled(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "calibration.json"
    assert store_calibration({SUBJECT: MEASUREMENT}, file) == file
    other = CalibrationSubject("cpu", "torch", "Compact", 4, "torch", "fp32")
    store_calibration({other: MEASUREMENT}, file)
    assert load_calibration(file) == {SUBJECT: MEASUREMENT, other: MEASUREMENT}
    assert [path.name for path in file.parent.iterdir()] == ["calibration.json"]


def test_a_file_of_an_older_version_is_read(tmp_path: Path) -> None:
    """It knows no error and no date, so it says how much memory is needed but not what ``auto`` may take."""
    file = tmp_path / "calibration.json"
    store_calibration({SUBJECT: MEASUREMENT}, file)
    kept = json.loads(file.read_text())
    del kept["measurements"][0]["max_error"], kept["measurements"][0]["date"]
    file.write_text(json.dumps(kept))
    assert load_calibration(file) == {SUBJECT: Measurement(5000.5, 1e8, 0.25)}


class Clock:
    """Process time of two backends, the second twice as fast, with what another program adds to single runs."""

    def __init__(self, *disturbed: float) -> None:
        self.now, self.disturbances, self.order = 0.0, iter(disturbed), ""

    def run(self, name: str, seconds: float) -> None:
        self.order += name
        self.now += seconds + next(self.disturbances, 0.0)

    def measure(self) -> object:
        return measure_in_turn({"a": lambda: self.run("a", 1.0), "b": lambda: self.run("b", 0.5)}, lambda: self.now)


def test_times_are_taken_in_turn_until_they_settle() -> None:
    clock = Clock(0, 9, 0, 8, 3, 7)
    assert clock.measure() == {"a": 1.0, "b": 0.5}
    assert clock.order == "ab" * 7, "three rounds after the fourth, in which b was first undisturbed"


def test_times_that_do_not_settle_are_none() -> None:
    assert Clock(*(0.9**number * 50 for number in range(100))).measure() is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "\x00\x01",
        '{"version": 1}',
        '{"version": 1, "measurements": {}, "more": 1}',
        '{"version": 1, "measurements": [1]}',
        '{"version": 1, "measurements": [{"device": "x"}]}',
        '{"version": 2, "measurements": []}',
        "[" * 100_000,
    ],
)
def test_a_damaged_file_counts_as_none(content: str, tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    file.write_text(content)
    assert load_calibration(file) == {}
    store_calibration({SUBJECT: MEASUREMENT}, file)
    assert load_calibration(file) == {SUBJECT: MEASUREMENT}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("bytes_per_pixel", value) for value in (0, -1, "many", None)),
        *(("base", value) for value in (-5, float("inf"))),
        ("seconds_per_megapixel", float("nan")),
        ("device", ["x"]),
        ("scale", {}),
    ],
)
def test_numbers_that_cannot_be_are_not_believed(name: str, value: object, tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    store_calibration({SUBJECT: MEASUREMENT}, file)
    kept = json.loads(file.read_text())
    kept["measurements"][0][name] = value
    file.write_text(json.dumps(kept))
    assert load_calibration(file) == {}


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert store_calibration({SUBJECT: MEASUREMENT}, tmp_path / "file" / "calibration.json") is None


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path))
    assert get_calibration_path() == tmp_path / "calibration.json"


@given(rate=st.integers(1, 50_000), base=st.integers(0, 10**9), sides=st.sets(st.integers(16, 512), min_size=2, max_size=5))
def test_a_line_is_found_again(rate: int, base: int, sides: set[int]) -> None:
    line = fit_footprint([(side * side, base + rate * side * side) for side in sides])
    for side in sides:
        np.testing.assert_allclose(line.base + line.bytes_per_pixel * side**2, base + rate * side**2, rtol=1e-6, atol=2)


@given(points=st.dictionaries(st.integers(1, 10**6), st.integers(0, 10**10), min_size=2, max_size=6))
def test_no_measured_tile_takes_more_than_the_model_says(points: dict[int, int]) -> None:
    line = fit_footprint(list(points.items()))
    assert line.bytes_per_pixel > 0
    for pixels, peak in points.items():
        assert line.base + line.bytes_per_pixel * pixels >= peak * (1 - 1e-9) - 1


def test_memory_that_is_taken_while_a_tile_runs_is_seen() -> None:
    """Each tile takes 3000 bytes per pixel, and gives it back before ``run`` returns."""
    taken = [7_000_000]
    order: list[int] = []

    def run(side: int) -> None:
        order.append(side)
        taken[0] += 3000 * side * side + 500_000
        time.sleep(0.05)
        taken[0] -= 3000 * side * side + 500_000

    found = measure_footprint(run, lambda: taken[0], (96, 32, 64))
    assert order == [32, 32, 64, 96]
    np.testing.assert_allclose([found.bytes_per_pixel, found.base], [3000, 500_000], rtol=1e-6)


BLOCKS = """
from runtime.bootstrap import load_pack
load_pack()
import numpy, psutil
from upscale8k.runtime.hardware.calibration import measure_footprint

def run(side):
    block = numpy.ones((side, side, 100))
    for _ in range(5):
        block *= 1.01

print(measure_footprint(run, lambda: psutil.Process().memory_info().rss, (256, 384, 512)).bytes_per_pixel)
"""


def test_a_real_tile_is_measured_as_large_as_it_is(root: Path) -> None:
    """numpy takes 800 bytes per pixel; what a fresh process grows by says so, within a tenth."""
    done = subprocess.run([sys.executable, "-c", BLOCKS], cwd=root, capture_output=True, text=True, check=True)
    assert 720 < float(done.stdout) < 880
