"""List which official templates and blueprints run headless: ``python tests/comfyui/list_official_workflows.py DIR...``

DIR holds workflow files, for instance the folders ``templates`` and ``blueprints`` of the packages
comfyui-workflow-templates-json and comfyui-subgraph-blueprints, unpacked. A blueprint has no ends: it gets an image or a video
to read, and its results are shown. Files whose nodes are all here are run with small media, unless ``--check`` is given; their
models are realesr-animevideov3. Prints one line per such file, and which missing class alone stops most other files.
"""

from __future__ import annotations

import argparse
import collections
import json
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
from upscale8k.runtime.graph.execute.events import NodeFailed  # noqa: E402
from upscale8k.runtime.graph.execute.executor import execute_plan  # noqa: E402
from upscale8k.runtime.graph.execute.plan import make_plan  # noqa: E402
from upscale8k.runtime.host import LocalHost  # noqa: E402
from upscale8k.runtime.paths import PACK_ROOT  # noqa: E402

MODEL = "realesr-animevideov3"
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
    """Replace files and models of the author by ours, literals only."""
    for node in prompt.values():
        if node["class_type"] in MEDIA:
            name, file = MEDIA[node["class_type"]]
            node["inputs"][name] = file
        if node["class_type"] == "UpscaleModelLoader" and isinstance(node["inputs"].get("model_name"), str):
            node["inputs"]["model_name"] = MODEL


def run_file(ui: dict[str, Any], host: LocalHost, definitions: dict[str, Any], *, only_check: bool) -> str:
    """Return why a workflow does not run; empty if it does."""
    classes = get_node_classes(host)
    conversion = convert_workflow(ui, definitions, seed=1)
    use_own_files(conversion.prompt)
    checked = check_prompt(conversion.prompt, classes)
    if problems := [*conversion.problems, *checked.problems]:
        return str(problems[0])
    if only_check:
        return ""
    try:
        for event in execute_plan(make_plan(checked.prompt, classes), classes):
            if isinstance(event, NodeFailed):
                return str(event.error)
    except Upscale8KError as error:
        return str(error)
    return ""


def list_files(folders: list[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(path for folder in folders for path in folder.rglob("*.json")):
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and isinstance(content.get("nodes"), list):
            yield path, content


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--check", action="store_true", help="convert and check only")
    options = parser.parse_args()
    total, running, needed = 0, 0, collections.Counter[str]()
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        write_media(folder)
        host = LocalHost(input_dir=folder, output_dir=folder / "output", models_dirs=(PACK_ROOT / "models",))
        definitions = describe_classes(get_node_classes(host), DISPLAY_NAMES)
        for path, ui in list_files(options.folders):
            total += 1
            try:
                add_ends(ui)
                missing = find_missing(ui, definitions)
                if missing:
                    needed.update(missing if len(missing) == 1 else [])
                    continue
                reason = run_file(ui, host, definitions, only_check=options.check)
            except Upscale8KError as error:
                reason = str(error)
            running += not reason
            print(f"{'runs' if not reason else 'stops'}  {path.name}{'' if not reason else f': {reason}'}", flush=True)
    print(f"{running} of {total} files run.")
    print("Files that lack one class only: " + ", ".join(f"{name} {count}" for name, count in needed.most_common(20)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
