"""A backend is one row of one table: whatever offers, runs, describes or remembers backends derives from it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.upscale.backends import open_backend
from upscale8k.runtime.upscale.backends.base import BACKENDS, list_backend_choices

# A fresh interpreter, because help texts are made when the command line is imported.
SCRIPT = """
import contextlib, io, json, os, sys, types
os.environ.update(COLUMNS="300", TERM="dumb")
sys.path.insert(0, sys.argv[1])
from runtime.bootstrap import load_pack
load_pack()
from upscale8k.runtime.upscale.backends import base

base.BACKENDS["dummy"] = base.BackendSpec(
    "dummy", "dummy.DummyBackend", description="doubles pixels", packages=("pytest",), modules=("pytest",),
    compact_bytes_per_pixel=1234, cpu_architectures=("Compact",),
)
from upscale8k.runtime.upscale.backends.null import NullBackend
sys.modules[base.__package__ + ".dummy"] = types.SimpleNamespace(DummyBackend=NullBackend)

from upscale8k.nodes import get_node_classes
from upscale8k.runtime.cli.commands import run_command_line
from upscale8k.runtime.cli.run_options import RunOptions
from upscale8k.runtime.hardware.detect import list_versions
from upscale8k.runtime.hardware.tile_memory import default_footprint
from upscale8k.runtime.host import LocalHost
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.result_cache.version_key import get_library_versions
from upscale8k.runtime.upscale.autotune import select
from upscale8k.runtime.hardware import Cpu
from upscale8k.runtime.upscale.backends import open_backend
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings, resolve_settings

select.query_cpu = lambda: Cpu("Xeon", 2, 2, None, ("AVX-512",))
select.load_calibration = dict
base.BackendSpec.is_installed = lambda spec: spec.name == "dummy"
nodes = get_node_classes(LocalHost())
model = UpscaleModel.from_descriptor(load_model(find_model("realesr-animevideov3", ())))
resolved = resolve_settings(model, TiledUpscaleSettings("8K", "cpu", backend="dummy"))
with contextlib.redirect_stdout(io.StringIO()) as shown:
    run_command_line(["run", "--help"])
print(json.dumps({
    "image": nodes["TiledUpscale"].INPUT_TYPES()["optional"]["backend"][0],
    "video": nodes["TiledUpscaleVideo"].INPUT_TYPES()["optional"]["backend"][0],
    "compare": nodes["ComparisonReport"].INPUT_TYPES()["optional"]["backend"][0],
    "benchmark": nodes["Benchmark"].VALIDATE_INPUTS("all", "32x32", "x", backends="dummy"),
    "option": RunOptions(backend="dummy").backend,
    "help": shown.getvalue(),
    "cache key": get_library_versions(),
    "probe": list_versions(),
    "memory": default_footprint("Compact", 4, backend="dummy", half=False, on_gpu=False).bytes_per_pixel,
    "chosen": select.select_backend(model, resolved.device, "fp32").backend,
    "resolved": [resolved.backend, resolved.precision, resolved.device.type],
    "opened": type(open_backend("dummy", model, resolved.device, resolved.precision)).__name__,
}))
"""


def test_a_new_row_is_offered_described_remembered_and_run_everywhere(root: Path, tmp_path: Path) -> None:
    import json

    done = subprocess.run([sys.executable, "-c", SCRIPT, str(root)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    for node in ("image", "video", "compare"):
        assert found[node] == [*list_backend_choices(), "dummy"]
    assert found["benchmark"] is True
    assert found["option"] == "dummy"
    assert "dummy (doubles pixels)" in " ".join(found["help"].split())
    assert found["cache key"]["pytest"] == found["probe"]["pytest"] == pytest.__version__
    assert found["memory"] == 1234
    assert found["chosen"] == "dummy"
    assert found["resolved"] == ["dummy", "fp32", "cpu"]
    assert found["opened"] == "NullBackend"


def test_the_choices_are_those_that_saved_workflows_hold() -> None:
    assert list_backend_choices() == ("auto", "torch", "winograd", "openvino", "onnxruntime", "tensorrt", "null")


@pytest.mark.parametrize(("name", "precision"), [("auto", "fp32"), ("torch", "auto"), ("auto", "auto")])
def test_what_is_not_resolved_is_not_opened(name: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model: UpscaleModel = None  # type: ignore[assignment]  # refused before it is looked at
    with pytest.raises(ValueError, match="takes a resolved backend"):
        open_backend(name, model, torch.device("cpu"), precision)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", list(BACKENDS))
def test_every_row_leads_to_a_class(name: str) -> None:
    from importlib import import_module

    module, _, factory = BACKENDS[name].factory.rpartition(".")
    assert isinstance(getattr(import_module(f"upscale8k.runtime.upscale.backends.{module}"), factory), type)
