"""What our scripts show on the real canvas: sliders, messages, the headless command, and the window with models."""

import subprocess
from io import BytesIO
from pathlib import Path

import numpy
import pytest
from PIL import Image

from .images import make_image, pixels
from .peer.canvas import Canvas
from .peer.server import ComfyUI, Json, NodeFailed, PromptRejected
from .videos import make_video, video

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]

EMPTY: Json = {"version": 0.4, "nodes": [], "links": []}
WIDTH, HEIGHT, FRAMES = 400, 240, 9
BOX = "window.app.rootGraph.getNodeById(value[0]).widgets.find((one) => one.name === 'upscale8k_' + value[1])?.element"
PLAYED = (
    "window.app.rootGraph.getNodeById(value).widgets.find((one) => one.name === 'video-preview')"
    "?.element.querySelector('video')?.videoWidth"
)
PAIRS = f"""(async () => {{
  const found = []
  const element = {BOX}
  const [before, after] = ['before', 'after'].map((name) => element.querySelector('.' + name))
  do {{
    await Promise.all([before.decode(), after.decode()])
    found.push([element.querySelector('button').textContent, before.naturalWidth, after.naturalWidth])
    element.querySelector('button').click()
  }} while (!element.querySelector('button').textContent.includes('(1/'))
  return found
}})()"""
MODELS = "document.querySelector('dialog.upscale8k-models table')"
ROW = f"[...{MODELS}.querySelectorAll('tr')].find((one) => one.querySelector('small')?.textContent.startsWith(value + '.'))"


@pytest.fixture
def canvas(page: Canvas, comfyui: ComfyUI) -> Canvas:
    """An empty graph; an image and a video in the input folder."""
    make_image(comfyui.input / "small.png", WIDTH, HEIGHT)
    make_video(comfyui.input / "small.mp4", WIDTH // 4, HEIGHT // 4, FRAMES)
    page.refresh()
    page.load(EMPTY)
    return page


def written(canvas: Canvas, node: int, values: Json) -> None:
    """Give widgets values that no click would, as a workflow from elsewhere does."""
    find = "window.app.rootGraph.getNodeById(value[0]).widgets.find((one) => one.name === value[1]).value = value[2]"
    for name, value in values.items():
        canvas._ask(find, [node, name, value])


def upscaler(canvas: Canvas, values: Json, source: tuple[int, str], model: int | None) -> tuple[int, int]:
    """A Tiled Upscale between ``source`` and an Image Out; the two."""
    upscale, out = canvas.add("TiledUpscale", {"target": "model scale"}), canvas.add("ImageOut")
    written(canvas, upscale, values)
    canvas.connect(*source, upscale, "image")
    canvas.connect(upscale, "image", out, "images")
    if model is not None:
        canvas.connect(model, "upscale_model", upscale, "upscale_model")
    return upscale, out


def said_on(canvas: Canvas, node: int) -> str | None:
    """The message on a node."""
    return canvas._ask(f"{BOX}?.textContent ?? null", [node, "problem"])


def test_wrong_use_says_on_the_node_what_to_do(canvas: Canvas) -> None:
    image, model = canvas.add("EmptyImage", {"width": 32, "height": 32}), canvas.add("UpscaleModel")
    missing = canvas.add("UpscaleModel")
    written(canvas, missing, {"model": "realesrgan-x2plus"})
    gone = canvas.add("ImageIn", {"image": "small.png"})
    written(canvas, gone, {"image": "gone.png"})
    source = (image, "IMAGE")
    no_size, _ = upscaler(canvas, {"target": "banana"}, source, missing)
    small_tile, _ = upscaler(canvas, {"tile": 7}, source, model)
    huge_tile, _ = upscaler(canvas, {"tile": 100_000}, source, model)
    no_model, _ = upscaler(canvas, {}, source, None)
    _, huge_quality = upscaler(canvas, {}, (gone, "image"), model)
    written(canvas, huge_quality, {"quality": 900})
    with pytest.raises(Exception, match="does not connect"):
        canvas.connect(image, "IMAGE", no_model, "upscale_model")

    with pytest.raises(PromptRejected):
        canvas.queue()
    said = {
        node: said_on(canvas, node) or "" for node in (missing, gone, no_size, small_tile, huge_tile, no_model, huge_quality)
    }
    assert "models pull realesrgan-x2plus" in said[missing]
    assert said[gone].startswith("'gone.png' is not in the input folder")
    assert "Copy the file there" in said[gone]
    assert said[no_size].startswith("'banana' is not a size to upscale to. Use one of")
    assert said[small_tile] == "A tile of 7 pixels is out of range. Use 0 (automatic), or 32 to 4096."
    assert said[huge_tile] == "A tile of 100000 pixels is out of range. Use 0 (automatic), or 32 to 4096."
    assert said[no_model].startswith("Nothing is connected to upscale_model. From Upscale Model")
    assert said[huge_quality] == "quality is 900; it may be 1 to 100."
    assert [said_on(canvas, node) for node in (image, model)] == [None, None]


def test_a_run_shows_sliders_and_its_command_gives_the_same_pixels(comfyui: ComfyUI, canvas: Canvas, tmp_path: Path) -> None:
    source, model = canvas.add("ImageIn", {"image": "small.png"}), canvas.add("UpscaleModel", {"model": "realesr-animevideov3"})
    upscale, out = upscaler(canvas, {"backend": "tensorrt"}, (source, "image"), model)
    canvas.connect(source, "source", out, "source")
    with pytest.raises(NodeFailed):
        canvas.queue()
    canvas._await(f"{BOX}", [upscale, "problem"])
    assert said_on(canvas, upscale) == (
        "The backend tensorrt needs a model with a TensorRT engine. Put the node TRT Build between model and upscaler."
    )
    assert "TRT Build" not in str(canvas.save())

    canvas.set(upscale, {"backend": "auto"})
    frames = canvas.add("VideoIn", {"video": "small.mp4"})
    larger = canvas.add("TiledUpscaleVideo", {"target": "model scale"})
    movie = canvas.add("VideoOut", {"filename_prefix": "video", "codec": "ffv1", "container": "mkv", "bit_depth": "8"})
    canvas.connect(frames, "video", larger, "video")
    canvas.connect(model, "upscale_model", larger, "upscale_model")
    canvas.connect(larger, "video", movie, "video")
    canvas.queue()
    assert said_on(canvas, upscale) is None
    canvas._await(f"{BOX}", [movie, "compare"])
    shown = canvas._ask(PAIRS, [upscale, "compare"])
    assert shown == [["Detail (1/2)", 240, 960], ["Whole image (2/2)", WIDTH, 1280]]
    of_video = canvas._ask(PAIRS, [movie, "compare"])
    times = enumerate(("0.10", "0.40", "0.70"), 1)
    canvas._await(PLAYED, movie)
    assert canvas._ask(PLAYED, movie) == WIDTH  # a copy plays: no browser knows FFV1
    assert of_video == [[f"Whole image {time} s ({number}/3)", WIDTH // 4, WIDTH] for number, time in times]

    canvas.choose_from_menu("Copy headless command")
    line = canvas.clipboard()
    done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    images = sorted(comfyui.output.rglob("*.png"))
    videos = sorted(comfyui.output.rglob("*.mkv"))
    assert {str(images[1]), str(videos[1])} == set(done.stdout.splitlines())
    numpy.testing.assert_array_equal(pixels(images[0]), pixels(images[1]))
    numpy.testing.assert_array_equal(video(videos[0])[0], video(videos[1])[0])


TELL = "import('/scripts/api.js').then(({ api }) => api.dispatchCustomEvent(value[0], value[1]))"


def test_a_video_under_way_says_how_far_it_is_and_when_done_only_what_was_said(canvas: Canvas) -> None:
    movie = canvas.add("VideoOut")
    size = canvas._ask("[...window.app.rootGraph.getNodeById(value).size]", movie)
    told = {"node": str(movie), "unit": "frame", "done": 32, "total": 72, "seconds": 44, "resumed": 10, "bytes": 2_500_000}
    canvas._ask(TELL, ["upscale8k.progress", {**told, "said": []}])
    shown = canvas._ask(f"{BOX}.textContent", [movie, "progress"])
    assert shown == "Frame 32 of 72 · 1:20 left · 2.00 s per frame · 2.5 MB"
    assert "upscale8k_progress" not in str(canvas.save())
    canvas._ask(TELL, ["executing", None])
    assert canvas._ask(f"{BOX} ?? null", [movie, "progress"]) is None
    assert canvas._ask("window.app.rootGraph.getNodeById(value).size[1]", movie) == size[1]

    canvas._ask(TELL, ["upscale8k.progress", {**told, "said": ["Resuming after 10 finished frames."]}])
    canvas._ask(TELL, ["executing", None])
    assert canvas._ask(f"{BOX}.textContent", [movie, "progress"]) == "Resuming after 10 finished frames."
    canvas._ask(TELL, ["executing", str(movie)])
    assert canvas._ask(f"{BOX} ?? null", [movie, "progress"]) is None


def test_the_stop_button_ends_a_video_within_its_frame(comfyui: ComfyUI, canvas: Canvas) -> None:
    """Its one frame takes this model two minutes and more on two cores: 60 s are not enough for it."""
    image = canvas.add("EmptyImage", {"width": 1280, "height": 720})
    video = canvas.add("CreateVideo", {"fps": 24})
    model = canvas.add("UpscaleModel", {"model": "realesrgan-x4plus"})
    upscale = canvas.add("TiledUpscaleVideo", {"target": "8K", "tile": 256, "precision": "fp32", "backend": "torch"})
    save = canvas.add("VideoOut")
    canvas.connect(image, "IMAGE", video, "images")
    canvas.connect(video, "VIDEO", upscale, "video")
    canvas.connect(model, "upscale_model", upscale, "upscale_model")
    canvas.connect(upscale, "video", save, "video")
    prompt_id = canvas.press_run()
    canvas._await(f"{BOX}?.textContent", [save, "progress"])
    canvas.press_stop()
    with pytest.raises(NodeFailed) as stopped:
        comfyui.wait(prompt_id, timeout=60)
    messages = dict(stopped.value.entry["status"]["messages"])
    assert messages["execution_interrupted"]["node_id"] == str(save)
    assert canvas.errors() == []
    assert not list(comfyui.output.rglob("*.mp4"))


def test_metrics_show_verdict_and_map_on_the_node(comfyui: ComfyUI, canvas: Canvas) -> None:
    source, drift, difference = (
        canvas.add("ImageIn", {"image": "small.png"}),
        canvas.add("ColorDriftMetric"),
        canvas.add("DiffMap"),
    )
    for node, result in ((drift, "upscaled"), (difference, "image")):
        canvas.connect(source, "image", node, "reference")
        canvas.connect(source, "image", node, result)
    preview = canvas.add("PreviewImage")
    canvas.connect(difference, "map", preview, "images")
    outputs = canvas.queue()["outputs"]
    assert canvas._ask(f"{BOX}.textContent", [drift, "text"]) == outputs[str(drift)]["text"][0]
    canvas._await("value.every((id) => window.app.rootGraph.getNodeById(id).imgs?.length === 1)", [drift, difference])
    whole = Image.open(BytesIO(comfyui.view(**outputs[str(preview)]["images"][0])))
    shown = Image.open(BytesIO(comfyui.view(**outputs[str(difference)]["images"][0])))
    assert shown.width == whole.width == WIDTH
    assert numpy.abs(numpy.asarray(shown, int) - numpy.asarray(whole, int)).max() <= 1  # core's node cuts off, ours rounds


def test_the_model_list_ends_in_a_window_that_downloads_only_what_was_confirmed(comfyui: ComfyUI, canvas: Canvas) -> None:
    model = canvas.add("UpscaleModel", {"model": "realesr-animevideov3"})
    asked: list[Json] = []
    answers = [(400, {"error": "There is no way there."}), (200, {"path": "x", "warning": ""})]

    def answer(route: object) -> None:
        asked.append(route.request.post_data_json)  # type: ignore[attr-defined]
        status, content = answers[len(asked) - 1]
        route.fulfill(status=status, json=content)  # type: ignore[attr-defined]

    canvas._browser.do(lambda: canvas._page.route("**/upscale8k/models/download", answer))
    canvas.set(model, {"model": "Get more models…"})
    canvas._await(MODELS)
    assert canvas.to_prompt()[str(model)]["inputs"]["model"] == "realesr-animevideov3"
    assert "Use" in canvas._ask(f"{ROW}.textContent", "realesrgan-x4plus")

    wanted = "realesrgan-x2plus"
    press = "document.querySelector('dialog:last-of-type footer button' + value).click()"
    for button, seen in ((":first-child", 0), (".yes", 1), (".yes", 2)):
        canvas._ask(f"{ROW}.querySelector('button').click()", wanted)
        question = canvas._ask("document.querySelector('dialog:last-of-type').textContent")
        assert "67.1 MB from github.com, licence BSD-3-Clause" in question
        if seen == 2:
            models = comfyui.models / "upscale_models"
            models.mkdir(exist_ok=True)
            (models / "RealESRGAN_x2plus.pth").write_bytes(b"as if it had come")
        canvas._ask(press, button)
        waited = "There is no way there." if seen == 1 else "Use" if seen == 2 else "Download"
        canvas._await(f"((value) => {ROW}.textContent.includes('{waited}'))(value)", wanted)
        assert len(asked) == seen
    assert {one["id"] for one in asked} == {wanted}
    canvas._ask(f"{ROW}.querySelector('button').click()", wanted)
    canvas._await("window.app.rootGraph.nodes[0].widgets[0].value === value", wanted)
    assert canvas.to_prompt()[str(model)]["inputs"]["model"] == wanted
    assert canvas._ask(MODELS) is None
    (comfyui.models / "upscale_models" / "RealESRGAN_x2plus.pth").unlink()
