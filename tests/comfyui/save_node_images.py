"""Draw each of our nodes on the real canvas and save its image for its help page.

``python tests/comfyui/save_node_images.py [ID...]`` writes nodes/web/docs/ID/node.png. HW Probe shows the table of a computer
that many people have.
"""

import argparse
import sys
import tempfile
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

from peer.canvas import Browser, Canvas, browser_problem
from peer.server import ComfyUI
from peer.tree import CHECKOUT, problem, tree
from PIL import Image

DOCS = CHECKOUT / "nodes" / "web" / "docs"
MARGIN = 4
WIDEST = 720
EMPTY = {"version": 0.4, "nodes": [], "links": []}
AREA = """(([, margin]) => {
  const [node] = window.app.rootGraph.nodes
  node.updateArea?.()
  const [x, y, width, height] = node.boundingRect
  window.app.canvas.ds.scale = 1
  window.app.canvas.ds.offset = [400 - x, 120 - y]
  window.app.canvas.draw(true, true)
  return [400 - margin, 120 - margin, width + 2 * margin, height + 2 * margin]
})(value)"""


def example_table() -> str:
    """What HW Probe would say on a computer with an RTX 4090."""
    bootstrap = SourceFileLoader("bootstrap", str(CHECKOUT / "runtime" / "bootstrap.py"))
    module = module_from_spec(spec_from_loader("bootstrap", bootstrap))
    bootstrap.exec_module(module)
    module.load_pack()
    from upscale8k.runtime.hardware.capacity import SystemMemory
    from upscale8k.runtime.hardware.cpu import Cpu
    from upscale8k.runtime.hardware.detect import Machine
    from upscale8k.runtime.hardware.gpu import Gpu
    from upscale8k.runtime.hardware.report import format_report
    from upscale8k.runtime.hardware.settings import recommend_settings

    card = Gpu(
        kind="cuda",
        index=0,
        name="NVIDIA GeForce RTX 4090",
        total=25_757_220_864,
        free=22_400_000_000,
        compute_capability=(8, 9),
        encoder=True,
        decoder=True,
        power_limit=450.0,
        clock=3105,
        memory_clock=10501,
    )
    computer = Machine(
        system="Windows 11 (AMD64)",
        cpu=Cpu("AMD Ryzen 9 7950X 16-Core Processor", 32, 32, None, ("AVX2", "AVX-512", "VNNI")),
        memory=SystemMemory(67_900_000_000, 48_300_000_000),
        gpus=(card,),
        driver="580.88",
        cuda="13.0",
        torch_build="CUDA 13.0",
        versions={"python": "3.12.10", "torch": "2.9.1", "spandrel": "0.4.1", "av": "16.0.1"},
    )
    return format_report(computer, recommend_settings(computer))


def draw(canvas: Canvas, node_id: str, path: Path) -> None:
    """One node at its own size, on the canvas's own background."""
    canvas.load(EMPTY)
    canvas.add(node_id)
    if node_id == "HWProbe":
        canvas._ask("window.app.rootGraph.nodes[0].onExecuted({ text: [value] })", example_table())
    canvas.settle()
    left, top, width, height = canvas._ask(AREA, [0, MARGIN])
    canvas.screenshot(path)
    with Image.open(path) as window:
        area = window.convert("RGB").crop((round(left), round(top), round(left + width), round(top + height)))
    area.thumbnail((WIDEST, WIDEST * 2))
    area.quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ids", nargs="*", metavar="ID", help="which nodes; all of ours when left out")
    wanted = parser.parse_args().ids
    if reason := problem() or browser_problem():
        print(reason, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as work:
        server = ComfyUI(tree(), Path(work), pack=CHECKOUT, pack_name="upscale8k")
        browser = Browser()
        try:
            server.start()
            ours = [name for name, info in server.object_info().items() if info["category"].startswith("8K/")]
            canvas = Canvas(browser, server)
            for node_id in wanted or ours:
                folder = DOCS / node_id
                folder.mkdir(parents=True, exist_ok=True)
                draw(canvas, node_id, folder / "node.png")
                print(f"{folder / 'node.png'}: {(folder / 'node.png').stat().st_size:,} bytes")
        finally:
            browser.close()
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
