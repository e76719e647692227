"""Figures of the benchmark against what is known beforehand."""

import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from upscale8k.runtime.bench.benchmark_files import format_table
from upscale8k.runtime.bench.benchmark_results import (
    BenchmarkCase,
    BenchmarkResults,
    BenchmarkRow,
    EarlierBenchmark,
    find_changes,
    find_sweeps,
)
from upscale8k.runtime.bench.halo import measure_halo_errors
from upscale8k.runtime.bench.measure import measure_cost
from upscale8k.runtime.bench.model_speed import make_cases, run_benchmark
from upscale8k.runtime.bench.plots import plot_benchmark
from upscale8k.runtime.errors import WorkflowError
from upscale8k.runtime.models.catalog import load_catalog
from upscale8k.runtime.models.random_weights import generate_model
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.upscale import resolved_settings
from upscale8k.runtime.upscale.autotune.select import BackendChoice

CASE = BenchmarkCase("a|b<c>.pth", "64x64", 0, "fp32", "torch")


def row(*seconds: float, case: BenchmarkCase = CASE) -> BenchmarkRow:
    return BenchmarkRow(case, tile=64, megapixels=2.0, seconds=seconds, model_seconds=seconds, peak_bytes=5_000_000)


def test_memory_and_time_of_known_work_are_read_back_twice_in_a_row() -> None:
    for _ in range(2):
        with measure_cost(torch.device("cpu")) as cost:
            held = np.ones(25_000_000)  # 200 MB
            time.sleep(0.05)
            del held
        assert cost.peak_bytes == pytest.approx(200e6, rel=0.1)
        assert cost.seconds >= 0.05
        assert cost.device_bytes is None


def test_a_row_knows_its_median_spread_and_speed() -> None:
    measured = row(1.0, 2.0, 4.0)
    assert (measured.median, measured.spread, measured.speed) == (2.0, 1.5, 1.0)


def test_combinations_come_once_and_sizes_are_written_alike() -> None:
    found = make_cases(["a"], ["64x64", " 64 x 64 "], [0, 32], ["auto"], ["torch"])
    assert [(case.size, case.tile) for case in found] == [("64x64", 0), ("64x64", 32)]
    with pytest.raises(WorkflowError, match="nothing to benchmark"):
        make_cases(["a"], [], [0], ["auto"], ["torch"])


@pytest.mark.parametrize(
    ("before", "now", "regression"),
    [
        ((1.0, 1.1), (1.5, 1.6), True),
        ((1.0, 1.1), (1.05, 1.06), False),  # within a tenth
        ((1.0, 2.0), (1.9, 2.4), False),  # runs overlap
        ((1.5, 1.6), (1.0, 1.1), False),
    ],
)
def test_a_regression_is_slower_by_a_tenth_in_every_run(
    before: tuple[float, ...], now: tuple[float, ...], regression: bool
) -> None:
    earlier = EarlierBenchmark("x.json", "then", "here", {CASE: before})
    (change,) = find_changes([row(*now)], earlier, same_machine=True)
    assert change.regression is regression
    assert not find_changes([row(*now)], earlier, same_machine=False)[0].regression
    assert find_changes([row(*now, case=BenchmarkCase("new", "64x64", 0, "fp32", "torch"))], earlier, same_machine=True) == ()


def test_the_table_shows_every_row_and_escapes_names() -> None:
    failed = BenchmarkRow(BenchmarkCase("gone", "64x64", 0, "fp16", "torch"), problem="It overflows.")
    text = format_table(BenchmarkResults((row(1.0, 2.0, 4.0), failed), 1, "a machine", "today"))
    assert "| a\\|b\\<c\\>.pth | 64x64 | 64 (auto) |  | fp32 | torch | 1.00 | 2.000 | 150% | 1.00 | 0.0 | 5 |" in text
    assert "* gone, 64x64, tile auto, fp16, torch: It overflows." in text


def test_the_table_says_what_auto_was() -> None:
    requested = BenchmarkCase("a", "64x64", 0, "auto", "auto")
    one = replace(row(1.0, case=requested), precision="bf16", backend="torch")
    assert "| auto: bf16 | auto: torch |" in format_table(BenchmarkResults((one,), 1, "a machine", "today"))


def test_a_run_by_auto_is_one_by_what_auto_resolved_to(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = SimpleNamespace(advance=lambda steps=1: None, message=lambda _: None)
    choice = BackendChoice("torch", "bf16")
    monkeypatch.setattr(resolved_settings, "select_backend", lambda *_: choice)
    wanted = make_cases(["realesr-animevideov3"], ["32x32"], [0], ["auto"], ["auto"])
    (one,) = run_benchmark(wanted, [], "cpu", warmups=0, repeats=1, open_progress=lambda total, unit: nullcontext(progress))
    assert (one.problem, one.backend, one.precision) == ("", "torch", "bf16")
    assert one.case == wanted[0]


def test_a_bar_is_as_long_as_its_speed() -> None:
    other = BenchmarkCase("half as fast", "64x64", 0, "fp32", "torch")
    image = np.asarray(plot_benchmark(BenchmarkResults((row(1.0), row(2.0, case=other)), 1, "a machine", "today")))
    blue = np.all(image == (0x3A, 0x6E, 0xA5), axis=2)
    lengths = sorted({int(line.sum()) for line in blue} - {0})
    assert lengths[-1] == pytest.approx(2 * lengths[0], rel=0.05)


def test_a_plot_of_nothing_says_so() -> None:
    assert plot_benchmark(BenchmarkResults((), 1, "a machine", "today")).height > 0


def test_the_profile_of_swinir_ends_at_its_exact_halo(tmp_path: Path) -> None:
    model = UpscaleModel.from_descriptor(generate_model(load_catalog()["swinir-lightweight-x4"]))
    found = measure_halo_errors(
        "swinir-lightweight-x4", model, "generated", torch.device("cpu"), halos=(0, 12, model.exact_halo or 0)
    )
    assert [error.halo for error in found.errors] == [0, 16, 104], "halos lie on the window's grid"
    assert found.errors[0].worst_steps > 1
    assert found.errors[-1].worst_steps < 1e-3
    assert found.errors[0].seam_db < found.errors[1].seam_db < found.errors[-1].seam_db
    assert "generated weights" in str(found)


def test_the_tile_that_auto_chooses_is_compared_with_the_best() -> None:
    def at(tile: int, cut: str, *seconds: float, model: str = "a") -> BenchmarkRow:
        return replace(row(*seconds, case=BenchmarkCase(model, "64x64", tile, "auto", "auto")), tile=tile or 48, cut=cut)

    rows = (
        *(at(0, "4 of 40x40", 2.0, 2.2), at(50, "4 of 40x40", 2.1), at(32, "9 of 30x30", 3.0), at(64, "1 of 64x64", 2.0)),
        *(at(0, "1 of 64x64", 1.0, model="b"), at(8, "64 of 16x16", 1.5, model="b")),
    )
    first, second = find_sweeps(rows)
    assert first.medians == {"4 of 40x40": 2.1, "9 of 30x30": 3.0, "1 of 64x64": 2.0}
    assert (first.best, second.best) == ("1 of 64x64", "1 of 64x64")
    assert first.distance == pytest.approx(0.05)
    assert second.distance == 0
    text = format_table(BenchmarkResults(rows, 1, "a machine", "today"))
    expected = "4 of 40x40 pixels, 2.100 s, 5.0% more than the best. Others: 9 of 30x30 3.000 s, 1 of 64x64 2.000 s."
    assert f"* a, 64x64, auto, auto: {expected}" in text
    assert find_sweeps([at(32, "", 1.0), at(0, "", 1.0, model="b")]) == ()
