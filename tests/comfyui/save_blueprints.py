"""Build the subgraph blueprints on the real canvas and save them: ``python tests/comfyui/save_blueprints.py [NAME...]``.

ComfyUI's frontend adds two nodes, makes a subgraph of them, promotes what a person chooses, and publishes it; the file
that it writes lands in workflows/blueprints/. With ``--screenshots FOLDER`` pictures of the node and of its inside land there.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from drawing import asked, at_work
from peer.canvas import Browser, Canvas
from peer.server import ComfyUI
from peer.tree import CHECKOUT

# ComfyUI looks for <a custom_nodes folder>/*/subgraphs/*.json; nodes/comfy_host.py adds workflows/blueprints to these folders.
BLUEPRINTS = CHECKOUT / "workflows" / "blueprints" / "upscale8k-blueprints" / "subgraphs"
PUBLISH = """(async ([ids, name, promoted, description, aliases]) => {
  const graph = window.app.rootGraph
  const { subgraph, node } = graph.convertToSubgraph(new Set(ids.map((id) => graph.getNodeById(id))))
  subgraph.name = node.title = name
  subgraph.description = description
  Object.assign(subgraph.extra, { BlueprintDescription: description, BlueprintSearchAliases: aliases })
  for (const [id, widget] of promoted) {
    const inner = subgraph.getNodeById(id)
    const slot = inner.inputs.find((one) => one.widget?.name === widget)
    if (!subgraph.addInput(widget, slot.type).connect(slot, inner)) throw new Error(`${inner.type}.${widget} is not promoted`)
  }
  node.setSize([320, node.computeSize()[1]])
  window.app.canvas.openSubgraph(subgraph, node)
  await new Promise(requestAnimationFrame)
  window.app.canvas.draw(true, true) // places the slots of the subgraph's two ends
  window.app.canvas.setGraph(graph)
  window.app.canvas.selectItems([node])
  document.querySelector('#vue-app').__vue_app__.config.globalProperties.$pinia._s.get('canvas').updateSelectedItems()
  await window.app.extensionManager.command.execute('Comfy.PublishSubgraph', { metadata: { name } })
  return node.id
})(value)"""
ENTER = """(async (id) => {
  const node = window.app.rootGraph.getNodeById(id)
  window.app.canvas.openSubgraph(node.subgraph, node)
  await new Promise(requestAnimationFrame)
  window.app.canvas.ds.offset = [60, 260]
  window.app.canvas.ds.scale = 0.9
})(value)"""


@dataclass(frozen=True)
class Blueprint:
    """A model and the node that it feeds: the wire through it, and what the library says of it."""

    upscale: str
    wire: str
    source: tuple[str, str]  # a node of ComfyUI and its output, only there while the blueprint is made
    sink: tuple[str, str]  # and one for the result
    description: str
    aliases: tuple[str, ...]


SHIPPED = {
    "Image to 8K": Blueprint(
        upscale="TiledUpscale",
        wire="image",
        source=("EmptyImage", "IMAGE"),
        sink=("PreviewImage", "images"),
        description="Any picture to 8K, or to another target, in tiles that meet without seams. A model comes along.",
        aliases=("8k", "upscale", "super resolution", "enlarge", "esrgan"),
    ),
    "Video to 8K": Blueprint(
        upscale="TiledUpscaleVideo",
        wire="video",
        source=("VideoIn", "video"),
        sink=("VideoOut", "video"),
        description="Any film to 8K, or to another target, frame by frame in constant memory. A model comes along.",
        aliases=("8k", "upscale video", "super resolution", "film", "esrgan"),
    ),
}


def publish(canvas: Canvas, name: str, blueprint: Blueprint) -> int:
    """Draw, convert, promote and publish; the id of the subgraph's node."""
    source = canvas.add(blueprint.source[0], pos=[0, 0])
    model = canvas.add("UpscaleModel", {"model": "realesr-animevideov3"}, pos=[400, 220], size=[320, 0])
    upscale = canvas.add(blueprint.upscale, {"target": "8K"}, pos=[800, 0], size=[340, 0])
    sink = canvas.add(blueprint.sink[0], pos=[1220, 0])
    canvas.connect(source, blueprint.source[1], upscale, blueprint.wire)
    canvas.connect(model, "upscale_model", upscale, "upscale_model")
    canvas.connect(upscale, blueprint.wire, sink, blueprint.sink[1])
    promoted = [[model, "model"], [upscale, "target"]]
    return canvas._ask(PUBLISH, [[model, upscale], name, promoted, blueprint.description, blueprint.aliases])


def save(server: ComfyUI, browser: Browser, name: str, screenshots: Path | None) -> None:
    canvas = Canvas(browser, server)
    node = publish(canvas, name, SHIPPED[name])
    if complaints := canvas.errors():
        sys.exit(f"{name} was not saved:\n" + "\n".join(complaints))
    written = server.base / "user" / "default" / "subgraphs" / f"{name}.json"
    BLUEPRINTS.mkdir(parents=True, exist_ok=True)
    (BLUEPRINTS / written.name).write_bytes(written.read_bytes())
    print(BLUEPRINTS / written.name)
    if screenshots:
        canvas.fit()
        canvas.screenshot(screenshots / f"{name}.png")
        canvas._ask(ENTER, node)
        canvas.screenshot(screenshots / f"{name} inside.png")
    canvas.close()


def main() -> None:
    arguments = asked("Save the shipped blueprints from the real canvas.", "blueprint", SHIPPED)
    with at_work() as (server, browser):
        for name in arguments.names:
            save(server, browser, name, arguments.screenshots)


if __name__ == "__main__":
    main()
