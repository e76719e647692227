"""Build the shipped workflows on the real canvas and save them: ``python tests/comfyui/save_workflows.py [NAME...]``.

A workflow below says which nodes stand in which column, what is set on them and how they are wired. ComfyUI's frontend
adds them, sizes them and writes workflows/NAME.json; each file is opened again and must come back without a complaint.
With ``--screenshots FOLDER`` an image of each is written there. The same description saves the same bytes.
"""

import json
import sys
import uuid
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from drawing import asked, at_work
from peer.canvas import Canvas
from peer.server import Json
from peer.tree import CHECKOUT

WORKFLOWS = CHECKOUT / "workflows"
GAP_X, GAP_Y = 80, 50  # between columns, and between nodes of one column, title bars included
GROUP_PADDING = (20, 60, 20, 20)  # left, top (with the group's own title), right, bottom


@dataclass(frozen=True)
class Node:
    """A node: its class id, the widgets that differ from their defaults, and how it looks."""

    type: str
    values: Json = field(default_factory=dict)
    title: str | None = None
    size: tuple[int, int] | None = None  # at least; a node is never smaller than what is on it
    color: tuple[str, str] | None = None  # title bar, body


@dataclass(frozen=True)
class Sketch:
    """A workflow. ``columns`` names nodes from left to right and top to bottom; a wire is (node, output, node, input);
    a group is a title and the nodes that it frames; ``lower`` moves a node down, where a wire would run behind it."""

    nodes: dict[str, Node]
    columns: list[list[str]]
    wires: list[tuple[str, str, str, str]]
    groups: dict[str, list[str]] = field(default_factory=dict)
    lower: dict[str, int] = field(default_factory=dict)


def note(text: str, size: tuple[int, int]) -> Node:
    """A note in the muted color that ComfyUI gives notes."""
    readable = text.replace("`", "**")  # Nodes 2.0 draws code in dark blue on this brown
    return Node("MarkdownNote", {"text": readable}, title="Read me", size=size, color=("#432", "#653"))


def image_sketch(text: str, *, model: str, target: str, prefix: str) -> Sketch:
    """An image, a model, one upscale, one file."""
    return Sketch(
        nodes={
            "note": note(text, (420, 260)),
            "load": Node("LoadImage", {"image": "sample.png"}, size=(320, 340)),
            "model": Node("UpscaleModel", {"model": model}, size=(320, 0)),
            "upscale": Node("TiledUpscale", {"target": target}, size=(340, 0)),
            "save": Node("SaveImage", {"filename_prefix": prefix}, size=(420, 420)),
        },
        columns=[["note"], ["load", "model"], ["upscale"], ["save"]],
        wires=[
            ("load", "IMAGE", "upscale", "image"),
            ("model", "upscale_model", "upscale", "upscale_model"),
            ("upscale", "image", "save", "images"),
        ],
    )


IMAGE_8K_NOTE = """## An image to 8K

1. Choose an image in **Load Image**.
2. Press **Run**. The result is written to `output/Upscale8K/`.

**Tiled Upscale** fits the image into 7680 x 4320 and keeps its aspect ratio; `target` offers other sizes. It works in \
tiles that meet without seams, so GPU memory does not grow with the image. Out of memory? Set a smaller `tile`.

**Upscale Model**: `realesr-animevideov3` is set because it needs a minute where there is no GPU. Choose \
`realesrgan-x4plus` for photographs and `realesrgan-x4plus-anime` for drawings; both look better and take longer.

Without ComfyUI: `python -m runtime run workflows/image_8k.json`
"""

IMAGE_4X_NOTE = """## An image four times as large

1. Choose an image in **Load Image**.
2. Press **Run**. The result is written to `output/Upscale8K/`.

`realesr-animevideov3` is the fastest model here; choose `realesrgan-x4plus` for photographs. With `target` at \
**model scale** the image is enlarged by the model's scale, and nothing is reduced afterwards.

Without ComfyUI: `python -m runtime run workflows/image_4x.json`
"""

IMAGE_ANY_NOTE = """## Any image, nothing lost

**Image In** reads PNG, JPEG, WebP, TIFF, AVIF, EXR and JPEG XL at their full depth, with alpha and color profile. \
**Image Out** writes the result as the source was: 16 bits stay 16 bits, grey stays grey, and the color profile is kept. A \
suffix \
in the file name, such as `%name%.tiff`, chooses another format.

`python -m runtime upscale IN -o OUT` is this workflow with its values set.
"""


def any_sketch(
    text: str = IMAGE_ANY_NOTE,
    model: str = "realesr-animevideov3",
    upscale: Json | None = None,
    save: Json | None = None,
) -> Sketch:
    """An image file of any kind, its facts carried from Image In to Image Out."""
    return Sketch(
        nodes={
            "note": note(text, (420, 240 if text == IMAGE_ANY_NOTE else 400)),
            "load": Node("ImageIn", {"image": "sample.png"}, size=(320, 340)),
            "model": Node("UpscaleModel", {"model": model}, size=(320, 0)),
            "upscale": Node("TiledUpscale", upscale or {"target": "8K"}, size=(340, 0)),
            "save": Node("ImageOut", save or {"filename": "Upscale8K/%name%", "if_exists": "replace"}, size=(420, 420)),
        },
        columns=[["note"], ["load", "model"], ["upscale"], ["save"]],
        wires=[
            ("load", "image", "upscale", "image"),
            ("load", "source", "save", "source"),
            ("model", "upscale_model", "upscale", "upscale_model"),
            ("upscale", "image", "save", "images"),
        ],
        lower={"upscale": 100},
    )


VIDEO_8K_NOTE = """## A video to 8K

1. Choose a video in **Video In**. Nothing is loaded: frames are decoded when needed.
2. Press **Run**. The result is written to `output/Upscale8K/`, HEVC with 10 bits, the audio copied from the source.

Memory does not grow with the length of the video. Stop it whenever you like: the same workflow goes on after the last \
complete second. Frames \
and tiles that repeat are not computed again.

Without ComfyUI: `python -m runtime run workflows/video_8k.json`
"""


def video_sketch(
    text: str = VIDEO_8K_NOTE,
    name: str = "video_8k",
    sample: str = "sample.mp4",
    model: str = "realesr-animevideov3",
    upscale: Json | None = None,
) -> Sketch:
    """A video, a model, one upscale, one file; a recipe until the last node asks for frames."""
    return Sketch(
        nodes={
            "note": note(text, (420, 240 if text == VIDEO_8K_NOTE else 400)),
            "load": Node("VideoIn", {"video": sample}, size=(320, 340)),
            "model": Node("UpscaleModel", {"model": model}, size=(320, 0)),
            "upscale": Node("TiledUpscaleVideo", upscale or {"target": "8K"}, size=(340, 0)),
            "save": Node("VideoOut", {"filename_prefix": f"Upscale8K/{name}"}, size=(420, 0)),
        },
        columns=[["note"], ["load", "model"], ["upscale"], ["save"]],
        wires=[
            ("load", "video", "upscale", "video"),
            ("model", "upscale_model", "upscale", "upscale_model"),
            ("upscale", "video", "save", "video"),
        ],
    )


VIDEO_RESTORE_NOTE = """## Restore an old video

1. Choose a video in **Video In**. Set `deinterlace` there for a recording of television or tape.
2. Press **Run**. The result is written to `output/Upscale8K/`.

**Tiled Upscale Video**: `steady` averages still areas over seven frames before the model sees them; `strength` 0.8 keeps a \
fifth of a plain enlargement, against the look of plastic; `grain` gives a part of the source's own grain back; `skip_borders` \
leaves black borders to a plain enlargement.

**Upscale Model**: `realesrgan-x4plus` removes noise, blur and compression. How much noise goes can be set with \
`realesr-general-x4v3` and its twin `realesr-general-wdn-x4v3` as `second_model`; get both by **Download** or `models pull`. \
A 1x model for one damage, such as blocks, goes into `restore_model`.

Not sure what is wrong with it? `python -m runtime tune old.mp4 -o tuned/` looks at the video and writes such a workflow.

Without ComfyUI: `python -m runtime run workflows/video_restore.json`
"""

VIDEO_ANIMATION_NOTE = """## Animation to 4K

1. Choose a video in **Video In**. For a DVD with 30 frames a second set `deinterlace` to `telecine`: it finds the 24 of the \
movie.
2. Press **Run**. The result is written to `output/Upscale8K/`.

**Upscale Model**: `realesr-animevideov3` was trained on animation. `realesrgan-x4plus-anime` draws finer lines and takes \
longer. Frames that repeat, as drawings on twos do, are not computed again.

**Video Out**: `chroma` 4:4:4 keeps red and blue lines as sharp as black ones; not every player can show it.

Smoother motion: set `frame_rate` of **Tiled Upscale Video** to `2x`. It needs the weights that its help page names.

Without ComfyUI: `python -m runtime run workflows/video_animation.json`
"""

VIDEO_STEADY_NOTE = """## A steady video

For videos whose noise makes the result flicker: each frame is upscaled on its own, and what differs a little in the source \
differs more in the result.

1. Choose a video in **Video In**.
2. Press **Run**. The result is written to `output/Upscale8K/`.

**Tiled Upscale Video**: `steady` 1 averages each still area over seven frames; what moves is left alone, and scene cuts are \
not crossed. `steady_network` takes a network of vs_temporalfix instead. How much calmer it became: \
`python -m runtime measure SOURCE RESULT` states the flicker.

Without ComfyUI: `python -m runtime run workflows/video_steady.json`
"""

IMAGE_PHOTOGRAPH_NOTE = """## A photograph four times as large

1. Choose an image in **Image In**: PNG, JPEG, WebP, TIFF, AVIF, EXR or JPEG XL, with any depth, alpha and color profile.
2. Press **Run**. The result is written to `output/Upscale8K/` as the source was.

**Upscale Model**: `realesrgan-x4plus` is for photographs, and takes seconds to minutes without a GPU.

**Tiled Upscale**: `strength` 0.85 keeps a part of a plain enlargement, so that skin and leaves do not look painted; `grain` \
gives a part of the photograph's own grain back; `color_fix` takes out the color drift of the model. Set `target` to `8K` for \
a box of 7680 x 4320.

Without ComfyUI: `python -m runtime run workflows/image_photograph.json`
"""

VIDEO_8K_TRT_NOTE = """## A video to 8K, by TensorRT

For NVIDIA GPUs. First install one of `pip install tensorrt-rtx onnx` (GeForce and RTX) and `pip install tensorrt onnx` \
(any NVIDIA GPU).

1. Choose a video in **Video In**.
2. Press **Run**. **TRT Build** builds an engine, which takes minutes; every later run finds it and starts at once.

Without TensorRT or an NVIDIA GPU **TRT Build** stops with what is missing. Switch `fallback` on to go on with torch instead. \
`tile` is the largest tile that the engine takes; a smaller one needs less memory.

Without ComfyUI: `python -m runtime run workflows/video_8k_trt.json`, with torch where TensorRT cannot run: \
`--set TRTBuild.fallback=true`
"""


def engine_sketch() -> Sketch:
    """A video whose model carries an engine."""
    return Sketch(
        nodes={
            "note": note(VIDEO_8K_TRT_NOTE, (420, 340)),
            "load": Node("VideoIn", {"video": "sample.mp4"}, size=(320, 340)),
            "model": Node("UpscaleModel", {"model": "realesr-animevideov3"}, size=(320, 0)),
            "engine": Node("TRTBuild", size=(320, 0)),
            "upscale": Node("TiledUpscaleVideo", {"target": "8K"}, size=(340, 0)),
            "save": Node("VideoOut", {"filename_prefix": "Upscale8K/video_8k_trt"}, size=(420, 0)),
        },
        columns=[["note"], ["load", "model"], ["engine"], ["upscale"], ["save"]],
        wires=[
            ("load", "video", "upscale", "video"),
            ("model", "upscale_model", "engine", "upscale_model"),
            ("engine", "upscale_model", "upscale", "upscale_model"),
            ("upscale", "video", "save", "video"),
        ],
        lower={"engine": 454},
    )


VIDEO_ANY_NOTE = """## Any video, nothing lost

**Video In** reads what FFmpeg reads; **Video Out** writes mp4, mkv, mov, webm or an animated gif, webp or apng, with the \
source's audio, subtitles, chapters and frame times. A suffix in the file name, such as `video.mkv`, chooses the container.

`python -m runtime upscale in.mp4 -o out.mp4` is this workflow with its values set.
"""

FRAMES_ANY_NOTE = """## An image sequence to an image sequence

**Sequence In** opens a folder of the input folder, or names such as `frames/%05d.png`: PNG and TIFF with 8 or 16 bits, EXR \
and others, one after the other. **Sequence Out** writes them at the depth of the source. Stopped, the same workflow goes on \
after the last complete image.

`python -m runtime upscale "in/%05d.png" -o "out/%05d.png"` is this workflow with its values set.
"""

FRAMES_TO_VIDEO_NOTE = """## An image sequence to a video

**Sequence In** opens a folder of the input folder, or names such as `frames/%05d.png`, at the `frame_rate` that you set. \
**Video Out** writes the video.

`python -m runtime upscale "in/%05d.png" -o out.mp4 --fps 24` is this workflow with its values set.
"""

VIDEO_TO_FRAMES_NOTE = """## A video to an image sequence

For compositing and for masters: **Sequence Out** writes each frame to a file of its own. `%05d` in the name is the number; \
the suffix chooses PNG, TIFF, EXR or another format.

`python -m runtime upscale in.mp4 -o "out/%05d.png"` is this workflow with its values set.
"""

VIDEO_IN = Node("VideoIn", {"video": "sample.mp4"}, size=(320, 340))
FRAMES_IN = Node("SequenceIn", {"pictures": "sample_%05d.png"}, size=(320, 0))
VIDEO_OUT = Node("VideoOut", {"filename_prefix": "Upscale8K/video", "codec": "auto", "if_exists": "replace"}, size=(420, 0))
FRAMES_OUT = Node("SequenceOut", {"filename": "Upscale8K/frames/%05d.png", "if_exists": "replace"}, size=(420, 0))


def any_video_sketch(text: str, source: Node, result: Node) -> Sketch:
    """A video or its images in, a video or its images out."""
    return Sketch(
        nodes={
            "note": note(text, (420, 240)),
            "load": source,
            "model": Node("UpscaleModel", {"model": "realesr-animevideov3"}, size=(320, 0)),
            "upscale": Node("TiledUpscaleVideo", {"target": "8K"}, size=(340, 0)),
            "save": result,
        },
        columns=[["note"], ["load", "model"], ["upscale"], ["save"]],
        wires=[
            ("load", "video", "upscale", "video"),
            ("model", "upscale_model", "upscale", "upscale_model"),
            ("upscale", "video", "save", "video"),
        ],
    )


COMPARE_NOTE = """## Which model?

1. Choose an image in **Image In**.
2. Press **Run**. `output/Upscale8K/comparison/` then holds the sheet, the maps, the analysis and `report.html`, a single file \
with a slider between any two results.

`crop` says which part is compared: `centre`, `texture`, `edges`, `faces`, `512x512+X+Y`, or several with commas. Bicubic and \
Lanczos always take part. A model whose weights are missing is a row that says how to get them.

`python -m runtime compare photo.jpg -o out/` is this workflow with its values set.
"""

BENCHMARK_NOTE = """## How fast is this machine?

Press **Run**. Every model is warmed up, then timed several times, alone and end to end, with its peak memory. \
`output/Upscale8K/benchmark/` then holds the table, the plot and `benchmark.json`.

Name that file in `earlier` the next time, as `Upscale8K/benchmark/benchmark.json [output]`, and the table shows what became \
slower.

`python -m runtime bench models -o out/` is this workflow with its values set.
"""

COLOR_DRIFT_NOTE = """## Are the colors true?

**Color Drift** reduces the result to the size of the source and measures CIEDE2000 between the two: below 1.0 it is not \
visible, above 2.3 it is. Its heat map shows where. **Difference Map** shows what became lighter and what darker.

Without ComfyUI: `python -m runtime run workflows/color_drift.json`
"""


def compare_sketch() -> Sketch:
    """An image, every model, one report."""
    return Sketch(
        nodes={
            "note": note(COMPARE_NOTE, (420, 320)),
            "load": Node("ImageIn", {"image": "sample.png"}, size=(320, 340)),
            "report": Node("ComparisonReport", size=(460, 380)),
            "words": Node("PreviewAny", title="Analysis", size=(640, 380)),
        },
        columns=[["note"], ["load"], ["report"], ["words"]],
        wires=[
            ("load", "image", "report", "image"),
            ("load", "source", "report", "source"),
            ("report", "analysis", "words", "source"),
        ],
    )


def benchmark_sketch() -> Sketch:
    """One node that times, and its table."""
    return Sketch(
        nodes={
            "note": note(BENCHMARK_NOTE, (420, 300)),
            "benchmark": Node("Benchmark", size=(460, 380)),
            "words": Node("PreviewAny", title="Table", size=(640, 380)),
        },
        columns=[["note"], ["benchmark"], ["words"]],
        wires=[("benchmark", "table", "words", "source")],
    )


def color_drift_sketch() -> Sketch:
    """An image, its enlargement, and what happened to the colors."""
    return Sketch(
        nodes={
            "note": note(COLOR_DRIFT_NOTE, (420, 260)),
            "load": Node("LoadImage", {"image": "sample.png"}, size=(320, 340)),
            "model": Node("UpscaleModel", {"model": "realesr-animevideov3"}, size=(320, 0)),
            "upscale": Node("TiledUpscale", {"target": "4x"}, size=(340, 0)),
            "drift": Node("ColorDriftMetric", size=(340, 0)),
            "diff": Node("DiffMap", {"kind": "signed"}, size=(340, 0)),
            "heat": Node("SaveImage", {"filename_prefix": "Upscale8K/drift"}, title="Where colors drift", size=(420, 420)),
            "verdict": Node("PreviewAny", title="Verdict", size=(420, 160)),
            "signed": Node(
                "SaveImage", {"filename_prefix": "Upscale8K/difference"}, title="Lighter and darker", size=(420, 420)
            ),
        },
        columns=[["note"], ["load", "model"], ["upscale"], ["drift", "diff"], ["heat", "verdict", "signed"]],
        wires=[
            ("load", "IMAGE", "upscale", "image"),
            ("model", "upscale_model", "upscale", "upscale_model"),
            ("load", "IMAGE", "drift", "reference"),
            ("upscale", "image", "drift", "upscaled"),
            ("load", "IMAGE", "diff", "reference"),
            ("upscale", "image", "diff", "image"),
            ("drift", "heat_map", "heat", "images"),
            ("drift", "verdict", "verdict", "source"),
            ("diff", "map", "signed", "images"),
        ],
        lower={"upscale": 400, "diff": 330},  # the verdict and the map grow on the node
    )


SKETCHES = {
    "image_8k": image_sketch(IMAGE_8K_NOTE, model="realesr-animevideov3", target="8K", prefix="Upscale8K/image_8k"),
    "image_4x": image_sketch(IMAGE_4X_NOTE, model="realesr-animevideov3", target="model scale", prefix="Upscale8K/image_4x"),
    "image_any": any_sketch(),
    "video_8k": video_sketch(),
    "video_8k_trt": engine_sketch(),
    "video_any": any_video_sketch(VIDEO_ANY_NOTE, VIDEO_IN, VIDEO_OUT),
    "video_to_frames": any_video_sketch(VIDEO_TO_FRAMES_NOTE, VIDEO_IN, FRAMES_OUT),
    "frames_any": any_video_sketch(FRAMES_ANY_NOTE, FRAMES_IN, FRAMES_OUT),
    "frames_to_video": any_video_sketch(FRAMES_TO_VIDEO_NOTE, FRAMES_IN, VIDEO_OUT),
    "image_photograph": any_sketch(
        IMAGE_PHOTOGRAPH_NOTE,
        "realesrgan-x4plus",
        {"target": "4x", "color_fix": "low-frequency", "strength": 0.85, "grain": 0.5},
        {"filename": "Upscale8K/%name%_photograph"},
    ),
    "video_restore": video_sketch(
        VIDEO_RESTORE_NOTE,
        "video_restore",
        "sample_old.mp4",
        "realesrgan-x4plus",
        {"target": "4x", "strength": 0.8, "grain": 0.3, "steady": 1.0, "skip_borders": True},
    ),
    "video_animation": video_sketch(VIDEO_ANIMATION_NOTE, "video_animation", "sample_drawing.mp4", upscale={"target": "4K"}),
    "video_steady": video_sketch(VIDEO_STEADY_NOTE, "video_steady", "sample_old.mp4", upscale={"target": "4x", "steady": 1.0}),
    "compare_models": compare_sketch(),
    "benchmark": benchmark_sketch(),
    "color_drift": color_drift_sketch(),
}


def draw(canvas: Canvas, name: str, sketch: Sketch) -> None:
    """Put the sketch on an empty canvas, laid out by the sizes that the frontend gives its nodes."""
    placed = sorted(name for column in sketch.columns for name in column)
    assert placed == sorted(sketch.nodes), f"{name}: the columns do not hold each node once"
    canvas.load({"id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"upscale8k/{name}")), "version": 0.4, "nodes": [], "links": []})
    ids = {}
    for key in (key for column in sketch.columns for key in column):
        ids[key] = canvas.add(sketch.nodes[key].type, sketch.nodes[key].values, **looks(sketch.nodes[key]))
    for origin, output, target, input in sketch.wires:
        canvas.connect(ids[origin], output, ids[target], input)
    canvas.settle()
    left = 0.0
    for column in sketch.columns:
        top = right = 0.0
        for key in column:
            _, _, width, height = box_of(canvas, ids[key])
            top += sketch.lower.get(key, 0)
            canvas.move(ids[key], left, top)
            top, right = top + height + GAP_Y, max(right, left + width)
        left = right + GAP_X
    for title, members in sketch.groups.items():
        canvas.group(title, frame([box_of(canvas, ids[key]) for key in members]))


def looks(node: Node) -> Json:
    title_bar, body = node.color or (None, None)
    wanted = {"title": node.title, "size": node.size and list(node.size), "color": title_bar, "bgcolor": body}
    return {name: value for name, value in wanted.items() if value}


def box_of(canvas: Canvas, node: int) -> tuple[float, float, float, float]:
    (box,) = [one["box"] for one in canvas.boxes() if one["id"] == node]
    return tuple(box)


def frame(boxes: list[tuple[float, float, float, float]]) -> tuple[float, float, float, float]:
    """The area around all boxes, with room for the group's title."""
    left, top, right, bottom = GROUP_PADDING
    x, y = min(box[0] for box in boxes) - left, min(box[1] for box in boxes) - top
    width = max(box[0] + box[2] for box in boxes) + right - x
    height = max(box[1] + box[3] for box in boxes) + bottom - y
    return (x, y, width, height)


def overlaps(canvas: Canvas) -> list[str]:
    """The pairs of nodes that cover each other."""

    def meet(one: list[float], other: list[float]) -> bool:
        return all(one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2] for axis in (0, 1))

    return [f"{a['type']} and {b['type']}" for a, b in combinations(canvas.boxes(), 2) if meet(a["box"], b["box"])]


def save(canvas: Canvas, name: str, screenshots: Path | None) -> None:
    """Write workflows/NAME.json when what was drawn is tidy and opens again as itself."""
    draw(canvas, name, SKETCHES[name])
    canvas.fit()
    drawn = canvas.to_prompt()
    part = WORKFLOWS / f"{name}.json.part"
    canvas.save(part)
    canvas.load(json.loads(part.read_text(encoding="utf-8")))
    complaints = canvas.errors() + [f"overlap: {pair}" for pair in overlaps(canvas)]
    complaints += [] if canvas.to_prompt() == drawn else ["it does not open as it was drawn"]
    if complaints:
        part.unlink()
        sys.exit(f"{name} was not saved:\n" + "\n".join(complaints))
    part.rename(WORKFLOWS / f"{name}.json")
    print(WORKFLOWS / f"{name}.json")
    if screenshots:
        canvas.screenshot(screenshots / f"{name}.png")
        print(screenshots / f"{name}.png")


def main() -> None:
    arguments = asked("Save the shipped workflows from the real canvas.", "workflow", SKETCHES)
    with at_work() as (server, browser):
        for name in arguments.names:
            canvas = Canvas(browser, server)
            save(canvas, name, arguments.screenshots)
            canvas.close()


if __name__ == "__main__":
    main()
