"""Writers of all that is no image, video or report of the command line: caches, weights, engines, benchmarks, ComfyUI's nodes.

For tests/test_strangers_files.py: each takes the folder that it writes into.
"""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import requests
import torch
from PIL import Image
from requests.adapters import BaseAdapter
from spandrel import ImageModelDescriptor
from spandrel.architectures.Compact import Compact, CompactArch
from upscale8k.runtime.bench.benchmark_files import write_benchmark
from upscale8k.runtime.bench.benchmark_results import BenchmarkResults
from upscale8k.runtime.bench.peers_page import write_page
from upscale8k.runtime.cli import main
from upscale8k.runtime.cli.batch.job_records import JobRecord
from upscale8k.runtime.comfyui.builtin.load_save_image import save_image_advanced
from upscale8k.runtime.comfyui.builtin.video_encode import create_container, save_numbered
from upscale8k.runtime.comfyui.custom_nodes.stubs.comfy.utils import save_torch_file
from upscale8k.runtime.graph import NodeResults
from upscale8k.runtime.hardware.calibration import store_calibration
from upscale8k.runtime.host import SHIPPED_MEDIA, LocalHost, copy_samples
from upscale8k.runtime.models.catalog import load_catalog
from upscale8k.runtime.models.ncnn_files.conversion_cache import load_or_convert
from upscale8k.runtime.models.onnx_export import export_onnx, write_onnx
from upscale8k.runtime.models.openmodeldb import write_record
from upscale8k.runtime.models.pull import pull_model
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.models.verify import import_file
from upscale8k.runtime.progress import open_silent_progress
from upscale8k.runtime.result_cache.disk_cache import DiskCache
from upscale8k.runtime.trt.engine_session import KernelCache
from upscale8k.runtime.trt.engine_source import make_source_from_model
from upscale8k.runtime.trt.get_or_build import get_or_build_engine
from upscale8k.runtime.trt.target_gpu import find_tensorrt, resolve_target_gpu
from upscale8k.runtime.upscale import forecast
from upscale8k.runtime.upscale.autotune import bf16_check

from .bench.test_model_speed import row
from .bench.test_peers import TABLE
from .hardware.test_calibration import MEASUREMENT, SUBJECT

WEIGHTS = {"a": torch.zeros(2)}
JOB = JobRecord(Path("/results/o.png"), "key")
KEYS = [f"{number:064x}" for number in range(3)]


def make_model() -> UpscaleModel:
    torch.manual_seed(8)
    net = Compact(num_feat=4, num_conv=1, upscale=2)
    described = ImageModelDescriptor(
        net, net.state_dict(), CompactArch(), "SR", [], True, True, scale=2, input_channels=3, output_channels=3
    )
    return UpscaleModel.from_descriptor(described.eval())


def export(folder: Path) -> None:
    pytest.importorskip("onnx")
    model = make_model()
    write_onnx(folder / "a.onnx", export_onnx(model), model)


def build_engine(folder: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("tensorrt_rtx")
    package = find_tensorrt("tensorrt_rtx")
    target, path = resolve_target_gpu("sm_89", package), folder / "a.trt"
    for weights in ("00", "11"):  # a new one, and one in its place
        source = make_source_from_model(make_model(), weights * 32, 32, half=False, fixed=True)
        assert get_or_build_engine(source, target, package, 0, path, open_silent_progress).is_new
        KernelCache(Path(f"{path}.cache"), SimpleNamespace(serialize=lambda: b"kernels"), []).store((1, 3, 32, 32))


def fill_caches(folder: Path) -> None:
    bf16_check._measure_and_store(make_model(), "a key")
    forecast._store_rate("a machine", 1.0)
    store_calibration({SUBJECT: MEASUREMENT})
    load_or_convert(Path("a.bin"), "ab" * 32, lambda: WEIGHTS, licence=None)
    with JOB.reserve(), JOB.begin():
        pass


def fill_result_cache(folder: Path) -> None:
    """Three results of 4 kB, of which the limit allows two."""
    output = folder.parent / "output"
    results = DiskCache(folder, 10_000, output=output, compute_version=lambda *_: "", on_message=pytest.fail)
    for number, key in enumerate(KEYS):
        results.store(key, object, NodeResults([[torch.full((1000,), float(number))]]))
    results.close()


class Author(BaseAdapter):
    """A server that sends the same bytes for every address."""

    def send(self, request: requests.PreparedRequest, *_: object, **__: object) -> requests.Response:
        response = requests.Response()
        response.status_code, response.raw, response.url, response.request = 200, BytesIO(b"weights"), str(request.url), request
        response.headers["Content-Length"] = "7"
        return response

    def close(self) -> None:
        """Nothing is open."""


def pull(folder: Path) -> None:
    digest = "9e2c0d52ef6fb1d3ae3be0dc8fee7ac4ae3ea2b0e8b3f0b4ee4dbb9b70b7e5d0"
    entry = replace(load_catalog()["bsrgan-x4"], bytes=7, sha256=digest, sha256_evidence="unconfirmed")
    with requests.Session() as session:
        session.mount("https://", Author())
        write_record(pull_model(entry, folder, session=session).path, entry)


def import_weights(folder: Path) -> None:
    source = folder.parent / "mine.pth"
    torch.save(Compact(num_feat=4, num_conv=2, upscale=2).state_dict(), source)
    import_file(source, folder)


def write_benchmarks(folder: Path) -> None:
    write_benchmark(BenchmarkResults((row(1.0, 2.0),), 0, "a machine", "today"), lambda name: folder / name)
    write_page(folder / "page.md", [TABLE], "a machine", {})


def save_by_nodes_of_comfyui(folder: Path) -> None:
    save_image_advanced(folder / "a_00001_.png", torch.zeros(8, 8, 3), 16, "sRGB", {})
    save_image_advanced(folder / "a_00001_.exr", torch.zeros(8, 8, 3), 32, "sRGB", {})
    save_numbered(SimpleNamespace(save_to=lambda path: Path(path).write_bytes(b"video")), folder / "a_00001_.mp4")
    with create_container(folder / "a.mkv", None) as container:
        stream = container.add_stream("mpeg4", rate=5)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8))))
        container.mux(stream.encode(None))
    save_torch_file(WEIGHTS, str(folder / "a.safetensors"))
    LocalHost(output_dir=folder).output_file("output", "sub/a.png")


def convert(folder: Path) -> None:
    assert main(["convert", str(SHIPPED_MEDIA.parent / "image_8k.json"), "-o", str(folder / "a.json")]) == 0


def tune(folder: Path) -> None:
    source = folder.parent / "a.png"
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(source)
    assert main(["tune", str(source), "-o", str(folder), "--device", "cpu", "--backend", "null"]) == 0


OTHER_WRITERS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "an ONNX file": (export, ["a.onnx"]),
    "an engine": (build_engine, ["b.trt", "a.trt.json", "a.trt.cache"]),
    "caches": (
        fill_caches,
        [
            *("backends.json", "rates.json", "calibration.json", f"weights/a-{'ab' * 16}-v1.safetensors"),
            *(f"upscale/{name}" for name in (JOB._path.name, "0" * 32)),
        ],
    ),
    "results of nodes": (fill_result_cache, [f"entries/00/{key}.json" for key in KEYS] + [f"blobs/00/{'0' * 64}.safetensors"]),
    "a download": (pull, ["BSRGAN.pth.part", "BSRGAN", "BSRGAN.pth.openmodeldb.json"]),
    "an import": (import_weights, ["mine.pth"]),
    "samples": (copy_samples, [path.name for path in SHIPPED_MEDIA.glob("sample*.*")]),
    "a benchmark": (write_benchmarks, ["benchmark.json", "benchmark.md", "benchmark.png", "page.md", "page-m.png"]),
    "nodes of ComfyUI": (save_by_nodes_of_comfyui, ["a_00001_.png", "a_00001_.exr", "a_00001_.mp4", "a.mkv", "a.safetensors"]),
    "a converted workflow": (convert, ["a.json"]),
    "a tuned workflow": (tune, ["a_tuned.json", "a_tuned.md"]),
}
