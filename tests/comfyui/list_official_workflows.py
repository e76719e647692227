"""List which official templates and blueprints run headless: ``python tests/comfyui/list_official_workflows.py DIR...``

DIR holds workflow files, for instance the folders ``templates`` and ``blueprints`` of the packages
comfyui-workflow-templates-json and comfyui-subgraph-blueprints, unpacked. A blueprint has no ends: it gets an image or a
video to read, and its results are shown. Files whose nodes are all here are run with small media, unless ``--check`` is
given; their models are realesr-animevideov3 and small networks with random weights. Prints one line per such file, and which
missing class alone stops most other files.

``--comfyui TREE`` runs the same prompts on a server of that ComfyUI and compares every image and frame that both write. Each
line then ends with how many were compared and the largest difference of a file in levels of 255, mean and maximum: 0 but for
shaders, whose sines and roots differ between drivers.
"""

from __future__ import annotations

import argparse
import collections
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from runtime.bootstrap import load_pack

load_pack()
import av  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from upscale8k.nodes import DISPLAY_NAMES, get_node_classes  # noqa: E402
from upscale8k.runtime.errors import Upscale8KError  # noqa: E402
from upscale8k.runtime.graph.check import check_prompt  # noqa: E402
from upscale8k.runtime.graph.convert.converter import convert_workflow  # noqa: E402
from upscale8k.runtime.graph.definitions import describe_classes  # noqa: E402
from upscale8k.runtime.graph.execute.events import NodeFailed, NodeFinished  # noqa: E402
from upscale8k.runtime.graph.execute.executor import execute_plan  # noqa: E402
from upscale8k.runtime.graph.execute.plan import make_plan  # noqa: E402
from upscale8k.runtime.host import LocalHost  # noqa: E402
from upscale8k.runtime.paths import PACK_ROOT  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from official_models import FILE, MODELS, write_models  # noqa: E402
from peer.server import ComfyUI, PromptRejected  # noqa: E402
from peer.server import NodeFailed as ServerFailed  # noqa: E402

Outputs = list[dict[str, Any]]
"""files as ``ui`` names them: filename, subfolder, type"""
SOURCES = {"IMAGE": ("LoadImage", 0), "MASK": ("LoadImage", 1), "VIDEO": ("LoadVideo", 0)}
SINKS = {"IMAGE": ("PreviewImage", "images"), "VIDEO": ("SaveVideo", "video")}
MEDIA = {"LoadImage": ("image", "sample.png"), "LoadVideo": ("file", "sample.mp4")}


def write_media(folder: Path) -> None:
    """Write a small image and a video of four frames."""
    pixels = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "sample.png")
    with av.open(str(folder / "sample.mp4"), "w") as container:
        track = container.add_stream("h264", rate=Fraction(8))
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        for number in range(4):
            frame = av.VideoFrame.from_ndarray(np.roll(pixels, number, axis=1), format="rgb24")
            container.mux(track.encode(frame))
        container.mux(track.encode(None))


def find_missing(ui: dict[str, Any], definitions: dict[str, Any]) -> list[str]:
    """Return the node classes of a workflow that are not here, without muted and bypassed nodes."""
    conversion = convert_workflow(ui, definitions)
    return sorted({str(problem.class_type) for problem in conversion.problems if problem.kind == "missing_node_type"})


def add_ends(ui: dict[str, Any]) -> None:
    """Link the free inputs and outputs of a blueprint's instance to nodes that read and show."""
    definitions = {one["id"]: one for one in (ui.get("definitions") or {}).get("subgraphs", [])}
    hosts = [node for node in ui["nodes"] if node["type"] in definitions]
    if len(hosts) != 1 or ui.get("links"):
        return
    (host,) = hosts
    ids = iter(range(100_000, 200_000))

    def link(origin: int, slot: int, target: dict[str, Any], name: str, kind: str) -> None:
        number = next(ids)
        ui["links"].append([number, origin, slot, target["id"], 0, kind])
        sockets = [socket for socket in target.setdefault("inputs", []) if socket["name"] != name]
        target["inputs"] = [*sockets, {"name": name, "type": kind, "link": number}]

    for port in definitions[host["type"]].get("inputs") or []:
        if port["type"] in SOURCES:
            kind, slot = SOURCES[port["type"]]
            source = {"id": next(ids), "type": kind, "mode": 0, "widgets_values": [MEDIA[kind][1], "image"], "properties": {}}
            ui["nodes"].append(source)
            link(source["id"], slot, host, port["name"], port["type"])
    for slot, port in enumerate(definitions[host["type"]].get("outputs") or []):
        kind, name = SINKS.get(port["type"], ("PreviewAny", "source"))
        sink = {"id": next(ids), "type": kind, "mode": 0, "properties": {}}
        ui["nodes"].append(sink)
        link(host["id"], slot, sink, name, port["type"])


def use_own_files(prompt: dict[str, Any]) -> None:
    """Replace files and models of the author by ours, literals only, and the size that depth is computed at by the least."""
    for node in prompt.values():
        if node["class_type"] in MEDIA:
            name, file = MEDIA[node["class_type"]]
            node["inputs"][name] = file
        if node["class_type"] in MODELS and isinstance(node["inputs"].get(MODELS[node["class_type"]][0]), str):
            node["inputs"][MODELS[node["class_type"]][0]] = FILE
        if node["class_type"] == "DA3Inference":
            node["inputs"]["resolution"] = 140


def run_file(
    ui: dict[str, Any], host: LocalHost, definitions: dict[str, Any], *, only_check: bool, server: ComfyUI | None = None
) -> str:
    """Return why a workflow does not run, empty if it does; with a server what was compared, which begins with ``:``."""
    classes = get_node_classes(host)
    conversion = convert_workflow(ui, definitions, seed=1)
    use_own_files(conversion.prompt)
    checked = check_prompt(conversion.prompt, classes)
    if problems := [*conversion.problems, *checked.problems]:
        return str(problems[0])
    if only_check:
        return ""
    written: dict[str, Outputs] = {}
    try:
        for event in execute_plan(make_plan(checked.prompt, classes), classes):
            if isinstance(event, NodeFailed):
                return str(event.error)
            if isinstance(event, NodeFinished):
                written[event.node_id] = [file for files in event.ui.values() for file in files if isinstance(file, dict)]
    except Upscale8KError as error:
        return str(error)
    return compare_with(server, conversion.prompt, written, host) if server else ""


def compare_with(server: ComfyUI, prompt: dict[str, Any], written: dict[str, Outputs], host: LocalHost) -> str:
    """Return how the files of a run here differ from those of the server."""
    try:
        entry = server.queue(prompt)
    except ServerFailed as error:
        return f": the server fails, {str(error).splitlines()[0][:160]}"
    except PromptRejected as error:
        found = [one["details"] for node in error.node_errors.values() for one in node["errors"]]
        return f": the server refuses it, {found[0] if found else error.error.get('message')}"
    count, mean, largest, refused = 0, 0.0, 0, 0
    for node_id, ours in written.items():
        if not ours:
            continue  # a shader, whose results the server shows on the node
        if node_id not in entry["outputs"]:
            refused += 1  # the server runs what it finds valid
            continue
        theirs = [file for files in entry["outputs"][node_id].values() for file in files if isinstance(file, dict)]
        assert len(theirs) == len(ours), node_id
        for one, other in zip(ours, theirs, strict=True):
            mine = read_frames(host.folder(one["type"]) / one["subfolder"] / one["filename"])
            its = read_frames(server.base / other["type"] / other["subfolder"] / other["filename"])
            assert mine.shape == its.shape, (mine.shape, its.shape)
            difference = np.abs(mine.astype(np.int16) - its)
            count, mean, largest = count + len(mine), max(mean, float(difference.mean())), max(largest, int(difference.max()))
    rest = f", without {refused} results that the server refuses" if refused else ""
    return f": {count} images and frames, mean {mean:.3f}, largest {largest}{rest}"


def read_frames(path: Path) -> np.ndarray:
    """Return (N, H, W, C) uint8."""
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    with Image.open(path) as image:
        return np.asarray(image)[None]


def prepare_folder(folder: Path) -> LocalHost:
    """Return a host whose input folder and models folder hold small media and weights."""
    (folder / "input").mkdir(parents=True, exist_ok=True)
    write_media(folder / "input")
    write_models(folder / "models")
    upscalers = folder / "models" / "upscale_models"
    return LocalHost(input_dir=folder / "input", output_dir=folder / "output", models_dirs=(upscalers,))


def list_files(folders: list[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(path for folder in folders for path in folder.rglob("*.json")):
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and isinstance(content.get("nodes"), list):
            yield path, content


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--check", action="store_true", help="convert and check only")
    parser.add_argument("--comfyui", type=Path, metavar="TREE", help="compare with a server of this ComfyUI")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temp:
        host = prepare_folder(Path(temp))
        if options.comfyui is None:
            return list_workflows(options.folders, host, only_check=options.check)
        server = ComfyUI(options.comfyui.resolve(), Path(temp) / "server", pack=PACK_ROOT, pack_name="upscale8k")
        copy_inputs(host, server)
        try:
            server.start()
            return list_workflows(options.folders, host, server=server)
        finally:
            server.stop()


def copy_inputs(host: LocalHost, server: ComfyUI) -> None:
    """Give the server the media and weights of a host."""
    shutil.copytree(host.folder("input"), server.input, dirs_exist_ok=True)
    shutil.copytree(host.model_folders()[0].parent, server.models, dirs_exist_ok=True)


def list_workflows(folders: list[Path], host: LocalHost, *, only_check: bool = False, server: ComfyUI | None = None) -> int:
    """Print which files run. The same content in two folders counts once."""
    names, running, needed, seen = set[str](), 0, collections.Counter[str](), set[str]()
    definitions = describe_classes(get_node_classes(host), DISPLAY_NAMES)
    for path, ui in list_files(folders):
        content = json.dumps(ui, sort_keys=True)
        if content in seen:
            continue
        seen.add(content)
        try:
            add_ends(ui)
            if missing := find_missing(ui, definitions):
                needed.update(missing if len(missing) == 1 else [])
                continue
            reason = run_file(ui, host, definitions, only_check=only_check, server=server)
        except Upscale8KError as error:
            reason = str(error)
        if not reason or reason.startswith(":"):
            running += 1
            names.add(re.sub("[^a-z0-9]", "", path.stem.lower()))
        print(
            f"{'runs' if not reason or reason[0] == ':' else 'stops'}  {path.name}{reason and ': ' + reason.strip(': ')}",
            flush=True,
        )
    print(f"{running} of {len(seen)} different files run; by name, {len(names)} workflows.")
    print("Files that lack one class only: " + ", ".join(f"{name} {count}" for name, count in needed.most_common(20)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
