"""Results on the node on the classic canvas and on Nodes 2.0, with the frontend of the tested ComfyUI and with the newest.

The newest frontend is in .cache/ once ``python tests/comfyui/obtain.py`` ran; its part is slow and skipped without it.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .images import make_image
from .peer.canvas import Browser, Canvas
from .peer.server import ComfyUI, Json
from .peer.tree import NEWEST_FRONTEND, frontend, tree
from .videos import make_video

pytestmark = pytest.mark.comfyui

ROOT = Path(__file__).resolve().parents[2]
SHOTS = Path(os.environ.get("UPSCALE8K_ARTIFACTS") or ROOT / ".cache" / "artifacts" / "canvas")
EMPTY: Json = {"version": 0.4, "nodes": [], "links": []}
BOXES = """window.app.rootGraph.nodes.map((one) => [one.type, ...(one.widgets ?? []).map((each) => each.name).filter((name) =>
  name.startsWith('upscale8k') && name !== 'upscale8k_progress')]).filter((one) => one.length > 1)"""
SHOWN = [["ColorDriftMetric", "upscale8k_text"], ["TiledUpscale", "upscale8k_compare"]]
PREVIEWS = (
    "document.querySelector('#vue-app').__vue_app__.config.globalProperties.$pinia._s.get('nodeOutput').nodePreviewImages"
)
BOX = "window.app.rootGraph.getNodeById(value[0]).widgets.find((one) => one.name === 'upscale8k_' + value[1])?.element"
MODE = "window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', value)"
TUNE = "window.app.rootGraph.getNodeById(value).widgets.find((one) => one.name === 'tune').callback()"
PREVIOUS = "peer.command('Workspace.PreviousOpenedWorkflow')"
ZOOMED = f"""(() => {{
  const element = {BOX}
  const area = element.getBoundingClientRect()
  const at = {{ clientX: area.left + area.width / 4, clientY: area.top + area.height / 2, bubbles: true }}
  element.dispatchEvent(new WheelEvent('wheel', {{ deltaY: -400 * Math.LN2, ctrlKey: true, cancelable: true, ...at }}))
  return [...element.querySelectorAll('img')].map((image) => image.style.transform)
}})()"""


@pytest.fixture(scope="module")
def newest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyUI]:
    """A server of its own with the newest frontend."""
    if not frontend().is_dir():
        pytest.skip(f"frontend {NEWEST_FRONTEND} is not here. Get it with: python tests/comfyui/obtain.py")
    server = ComfyUI(tree(), tmp_path_factory.mktemp("newest"), pack=ROOT, pack_name="upscale8k-checkout", frontend=frontend())
    try:
        server.start()
        yield server
    finally:
        server.stop()


SLOW = pytest.mark.slow


@pytest.fixture(
    params=[
        pytest.param(("tested", False), id="tested-classic"),
        pytest.param(("tested", True), id="tested-nodes2"),
        pytest.param(("newest", False), id="newest-classic", marks=SLOW),
        pytest.param(("newest", True), id="newest-nodes2", marks=SLOW),
    ]
)
def opened(request: pytest.FixtureRequest, browser: Browser) -> Iterator[tuple[ComfyUI, Canvas]]:
    """A server without files and results, and a page of the frontend in a mode."""
    name, is_nodes2 = request.param
    server: ComfyUI = request.getfixturevalue("comfyui" if name == "tested" else "newest")
    server.forget()
    canvas = Canvas(browser, server)
    try:
        canvas._ask(MODE, is_nodes2)
        yield server, canvas
        SHOTS.mkdir(parents=True, exist_ok=True)
        canvas.screenshot(SHOTS / f"{request.node.name.replace('[', '_').rstrip(']')}.png")
    finally:
        canvas._ask(MODE, False)
        canvas.close()


def draw(server: ComfyUI, canvas: Canvas) -> tuple[int, int]:
    """Image, model, upscale, color drift; the two nodes that show results, the drift above a node that it grows over."""
    make_image(server.input / "small.png", 96, 64)
    canvas.refresh()
    canvas.load(EMPTY)
    image, model = (
        canvas.add("LoadImage", {"image": "small.png"}),
        canvas.add("UpscaleModel", {"model": "realesr-animevideov3"}),
    )
    upscale = canvas.add("TiledUpscale", {"target": "model scale"}, pos=[400, 0])
    drift = canvas.add("ColorDriftMetric", pos=[800, 0])
    canvas.connect(image, "IMAGE", upscale, "image")
    canvas.connect(model, "upscale_model", upscale, "upscale_model")
    canvas.connect(image, "IMAGE", drift, "reference")
    canvas.connect(upscale, "image", drift, "upscaled")
    return upscale, drift


def boxes(canvas: Canvas) -> list[Any]:
    return sorted(canvas._ask(BOXES))


def test_results_stay_with_their_tab_and_come_back_from_the_cache(opened: tuple[ComfyUI, Canvas], browser: Browser) -> None:
    server, canvas = opened
    upscale, drift = draw(server, canvas)
    canvas.queue()
    canvas._await(f"JSON.stringify({BOXES}.sort()) === JSON.stringify(value)", SHOWN)
    text = canvas._ask(f"{BOX}.textContent", [drift, "text"])
    canvas._await(f"!{PREVIEWS}[value]?.length", str(upscale))  # else Nodes 2.0 shows the same image twice
    before, after = canvas._ask(ZOOMED, [upscale, "compare"])
    assert before == after
    assert before.endswith("scale(2)")
    graph = canvas.save()

    canvas.load(EMPTY)
    assert boxes(canvas) == []
    canvas._ask(PREVIOUS)
    canvas._await(f"JSON.stringify({BOXES}.sort()) === JSON.stringify(value)", SHOWN)
    assert canvas._ask(f"{BOX}.textContent", [drift, "text"]) == text

    page = Canvas(browser, server)  # another page knows nothing, and ComfyUI computes nothing
    try:
        page.load(graph)
        page.queue()
        page._await(f"JSON.stringify({BOXES}.sort()) === JSON.stringify(value)", SHOWN)
        assert page._ask(f"{BOX}.textContent", [drift, "text"]) == text
        assert page.errors() == []
    finally:
        page.close()


def test_an_error_makes_room_and_a_saved_file_keeps_the_places(opened: tuple[ComfyUI, Canvas]) -> None:
    _, canvas = opened
    canvas.load(EMPTY)
    model = canvas.add("UpscaleModel", pos=[100, 100])
    below = canvas.add("SaveImage", pos=[100, 560])
    canvas._ask("window.app.rootGraph.getNodeById(value).widgets[0].value = 'realesrgan-x2plus'", model)
    image = canvas.add("EmptyImage", {"width": 8, "height": 8}, pos=[-400, 100])
    upscale = canvas.add("TiledUpscale", pos=[500, 100])
    canvas.connect(image, "IMAGE", upscale, "image")
    canvas.connect(model, "upscale_model", upscale, "upscale_model")
    canvas.connect(upscale, "image", below, "images")
    canvas.settle()
    before = {node["id"]: node["pos"] for node in canvas.save()["nodes"]}
    with pytest.raises(Exception, match="realesrgan-x2plus"):
        canvas.queue()
    canvas._await(f"{BOX}?.textContent", [model, "problem"])
    assert canvas._ask(f"{BOX}.querySelector('button').textContent", [model, "problem"]) == "Download"
    canvas._await(
        "(([a, b]) => a.pos[1] + a.size[1] <= b.pos[1] - 30)(value.map((id) => window.app.rootGraph.getNodeById(id)))",
        [model, below],
    )
    assert {node["id"]: node["pos"] for node in canvas.save()["nodes"]} == before

    canvas._ask(f"{BOX}.querySelector('button').click()", [model, "problem"])
    canvas._await("document.querySelectorAll('dialog.upscale8k-models').length === 2")
    heads = canvas._ask("[...document.querySelectorAll('dialog.upscale8k-models th')].map((one) => one.textContent)")
    assert heads == ["Model", "Scale", "Size", "Licence", ""]
    # Chromium closes both at once, as no person clicked between them.
    canvas._browser.do(lambda: canvas._page.keyboard.press("Escape"))
    canvas._await("document.querySelectorAll('dialog.upscale8k-models').length === 0")


def test_tune_sets_the_widgets_and_says_why(opened: tuple[ComfyUI, Canvas]) -> None:
    server, canvas = opened
    make_video(server.input / "borders.mp4", 96, 96, 16, bars=24)
    canvas.refresh()
    canvas.load(EMPTY)
    upscale, saved = canvas.add("TiledUpscaleVideo", {"steady": 0.5}, pos=[400, 0]), canvas.save()
    values = "window.app.rootGraph.getNodeById(value).widgets.filter((one) => one.serialize !== false).map((one) => one.value)"
    before = canvas._ask(values, upscale)
    canvas._ask(TUNE, upscale)
    canvas._await(f"{BOX}?.textContent.startsWith('Connect Image In or Video In')", [upscale, "text"])
    assert canvas._ask(values, upscale) == before
    assert canvas.save() == saved  # neither the button nor the text is in a file

    video, model = canvas.add("VideoIn", {"video": "borders.mp4"}), canvas.add("UpscaleModel", pos=[0, 300])
    canvas.connect(video, "video", upscale, "video")
    canvas.connect(model, "upscale_model", upscale, "upscale_model")
    canvas._ask(TUNE, upscale)
    canvas._await(f"{BOX}?.textContent.includes('Black borders around')", [upscale, "text"])
    named = f"Object.fromEntries({values.replace('one.value', '[one.name, one.value]')})"
    given = canvas._ask(named, upscale)
    assert (given["skip_borders"], given["steady"], given["strength"]) == (True, 1, 1)
    assert canvas._ask(named, model)["model"].startswith("real")
    assert canvas.errors() == []


def test_a_shipped_workflow_brings_its_samples(opened: tuple[ComfyUI, Canvas]) -> None:
    server, canvas = opened
    assert not list(server.input.glob("sample*"))
    canvas.drop(ROOT / "workflows" / "color_drift.json")
    assert canvas.errors() == []
    assert (server.input / "sample.png").read_bytes() == (ROOT / "workflows" / "media" / "sample.png").read_bytes()
    (server.input / "sample.png").write_bytes(b"mine")
    canvas.drop(ROOT / "workflows" / "image_4x.json")
    assert (server.input / "sample.png").read_bytes() == b"mine"
