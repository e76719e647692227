"""A codec and a metric are one row of one table: choices, outputs, help, the command line and cache keys follow from it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODEC_ROW = """
    Encoder(
        codec="dummy",
        title="Dummy",
        good_for="for tests",
        containers=("mkv",),
        name="rawvideo",
        pixel_formats=_YUV420_FORMATS,
        build_options=build_ffv1_options,
        crf=77,
    ),
"""
METRIC_ROW = """
    Metric(
        key="dummy",
        title="Dummy",
        unit="things",
        group="Cost",
        meaning="For tests.",
        formatter=make_formatter(1),
        summarize=lambda results: 1.0 * len(results),
        output="dummy",
        output_tooltip="A number for tests.",
        measure=lambda artifacts: 7.0,
    ),
"""
SCRIPT = """
import json
from pathlib import Path
from runtime.bootstrap import load_pack
load_pack()
from upscale8k.nodes import get_node_classes
from upscale8k.runtime.cli import cache_option
from upscale8k.runtime.cli.run_options import NodeCatalog
from upscale8k.runtime.host import LocalHost
from upscale8k.runtime.metrics.metric_table import GROUPS, METRICS, mean_outputs

host = LocalHost()
classes = get_node_classes(host)
cache = cache_option.open_cache(Path("cache"), 1.0, host, NodeCatalog(classes, {}), print)
inputs = classes["VideoOut"].INPUT_TYPES()["optional"]
print(json.dumps({
    "codecs": inputs["codec"][0],
    "codec help": inputs["codec"][1]["tooltip"],
    "crf help": inputs["crf"][1]["tooltip"],
    "outputs": classes["ArtifactMetric"].RETURN_NAMES,
    "types": classes["ArtifactMetric"].RETURN_TYPES,
    "output help": classes["ArtifactMetric"].OUTPUT_TOOLTIPS,
    "means": mean_outputs([]),
    "columns": [(one.key, one.meaning) for one in METRICS if one.group in GROUPS],
    "keys": {name: cache.compute_version(classes[name], {}, None) for name in ("VideoOut", "ArtifactMetric")},
}))
"""


def copy_checkout(folder: Path, **rows: str) -> Path:
    """A copy of the code, with rows added at the end of tables: the name of a table to the text of the row."""
    for name in ("nodes", "runtime"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("web", "*.png", "__pycache__"))
    (folder / "models").mkdir()
    for name in ("__init__.py", "models/catalog.toml"):
        shutil.copy(ROOT / name, folder / name)
    tables = {"codec": ("video/write/encoders.py", "_ENCODER_ROWS = ("), "metric": ("metrics/metric_table.py", "METRICS = (")}
    for table, row in rows.items():
        path, begin = folder / "runtime" / tables[table][0], tables[table][1]
        before, found, after = path.read_text(encoding="utf-8").partition(f"\n{begin}\n")
        body, end, rest = after.partition("\n)\n")
        assert found and end
        path.write_text(f"{before}{found}{body}{row.rstrip()}{end}{rest}", encoding="utf-8")
    return folder


def describe(folder: Path) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return describe(copy_checkout(tmp_path_factory.mktemp("plain")))


def test_a_codec_is_one_row(tmp_path: Path, plain: dict[str, Any]) -> None:
    folder = copy_checkout(tmp_path, codec=CODEC_ROW)
    found = describe(folder)
    assert found["codecs"] == [*plain["codecs"][:-1], "dummy", "auto"]
    assert "dummy: for tests" in found["codec help"]
    assert "dummy 77" in found["crf help"]
    assert found["keys"] != plain["keys"], "results of another table are not taken out of the cache"
    prompt = {
        "1": {"class_type": "VideoIn", "inputs": {"video": "a.mkv"}},
        "2": {"class_type": "VideoOut", "inputs": {"video": ["1", 0], "filename_prefix": "x", "codec": "dummy"}},
    }
    (folder / "a.mkv").write_bytes(b"")
    (folder / "workflow.json").write_text(json.dumps(prompt), encoding="utf-8")
    check = [sys.executable, "-m", "runtime", "check", "workflow.json", "--input-dir", "."]
    assert subprocess.run(check, cwd=folder, check=False).returncode == 0
    prompt["2"]["inputs"]["codec"] = "mystery"
    (folder / "workflow.json").write_text(json.dumps(prompt), encoding="utf-8")
    refused = subprocess.run(check, cwd=folder, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert f"({len(plain['codecs']) + 1 - 3} others)" in refused.stderr, "the message counts the choices"


def test_a_metric_is_one_row(tmp_path: Path, plain: dict[str, Any]) -> None:
    found = describe(copy_checkout(tmp_path, metric=METRIC_ROW))
    assert found["outputs"] == [*plain["outputs"], "dummy"], "saved workflows hold the numbers of the outputs before it"
    assert found["types"] == [*plain["types"], "FLOAT"]
    assert found["output help"][-1] == "A number for tests."
    assert len(found["means"]) == len(plain["means"]) + 1
    assert found["columns"] == [*plain["columns"], ["dummy", "For tests."]]
    assert found["keys"] != plain["keys"]
    nodes = subprocess.run(
        [sys.executable, "-m", "runtime", "nodes", "--json"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(nodes.stdout)["ArtifactMetric"]["output_name"][-1] == "dummy"
