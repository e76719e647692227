"""Make thumbnails of the shipped workflows from their results: ``python tests/comfyui/save_thumbnails.py [FOLDER [NAME...]]``.

Runs the engine on the sample photograph (minutes on two cores; FOLDER keeps the results for another time) and writes
workflows/NAME.jpg, which ComfyUI's template browser shows as a square. Its title there is the name of the file, whatever a pack
does, so what the workflow is for stands in the image.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFont

CHECKOUT = Path(__file__).resolve().parents[2]
SAMPLE = CHECKOUT / "workflows" / "media" / "sample.png"
SIDE = 400
CUT = 100  # pixels of the sample, as a square
DARK, LIGHT, ACCENT = (19, 21, 27), (238, 240, 244), (245, 170, 66)
MODELS = "realesr-animevideov3,realesrgan-x4plus"


def command(*arguments: object) -> None:
    """``python -m runtime`` as a person runs it."""
    subprocess.run([sys.executable, "-m", "runtime", *map(str, arguments), "--progress", "none"], cwd=CHECKOUT, check=True)


def get_result(folder: Path, name: str) -> Path:
    """What images below are made of, computed where it is not there yet."""
    small = ("--set", "Benchmark.sizes=96x96", "--set", "Benchmark.repeats=1")
    made = folder / name
    if not made.exists():
        match name:
            case "4x.png":
                command("upscale", SAMPLE, "-o", made, "--to", "4x", "-m", "realesr-animevideov3")
            case "drift":
                command("run", "workflows/color_drift.json", "--set", "TiledUpscale.target=4x", "--output-dir", made)
            case "sheet":
                command("compare", SAMPLE, "-o", made, "--models", MODELS, "--crop", "128x96+190+60")
            case "bench":
                command("run", "workflows/benchmark.json", *small, "--output-dir", made)
            case _:
                command("run", f"workflows/{name}.json", "--output-dir", made)
    return made


def badge(image: Image.Image, words: str, above: int = 16) -> Image.Image:
    """A dark label in the lower left corner."""
    font = ImageFont.load_default(36)
    draw = ImageDraw.Draw(image, "RGBA")
    left, _, right, _ = draw.textbbox((0, 0), words, font)
    bottom = SIDE - above
    draw.rounded_rectangle((16, bottom - 62, 48 + right - left, bottom), 10, fill=(*DARK, 225))
    draw.text((32 - left, bottom - 32), words, LIGHT, font, anchor="lm")
    return image


def split(folder: Path, corner: tuple[int, int], size: int = SIDE) -> Image.Image:
    """The source on the left, the result on the right: the square of the sample from ``corner`` on."""
    area = (*corner, corner[0] + CUT, corner[1] + CUT)
    with Image.open(SAMPLE) as sample, Image.open(get_result(folder, "4x.png")) as upscaled:
        image = sample.convert("RGB").resize((size, size), Image.Resampling.NEAREST, area)
        after = upscaled.convert("RGB").resize((size, size), Image.Resampling.LANCZOS, tuple(4 * side for side in area))
    return join_halves(image, after)


def join_halves(image: Image.Image, after: Image.Image) -> Image.Image:
    size = image.width
    image.paste(after.crop((size // 2, 0, size, size)), (size // 2, 0))
    ImageDraw.Draw(image).line((size // 2, 0, size // 2, size), LIGHT, 3)
    return image


def split_result(folder: Path, name: str, sample: str, area: tuple[int, int, int, int]) -> Image.Image:
    """The same of the result of a workflow, with an area of its own sample; of videos the last frame."""
    (made,) = (path for path in get_result(folder, name).rglob("*.*") if path.suffix in (".mp4", ".png"))
    results = read_frames(made)
    source, result = read_frames(SAMPLE.with_name(sample))[len(results) - 1], results[-1]
    scale = result.width / source.width
    after = result.resize((SIDE, SIDE), Image.Resampling.LANCZOS, tuple(scale * side for side in area))
    return join_halves(source.resize((SIDE, SIDE), Image.Resampling.NEAREST, area), after)


def read_frames(path: Path) -> list[Image.Image]:
    with av.open(str(path)) as container:
        return [Image.fromarray(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def video(folder: Path, corner: tuple[int, int]) -> Image.Image:
    return frame_video(split(folder, corner))


def frame_video(square: Image.Image) -> Image.Image:
    """The split image between the two perforated edges of a video."""
    image = Image.new("RGB", (SIDE, SIDE), DARK)
    image.paste(square.crop((0, 44, SIDE, SIDE - 44)), (0, 44))
    draw = ImageDraw.Draw(image)
    for left in range(12, SIDE, 48):
        for top in (10, SIDE - 34):
            draw.rounded_rectangle((left, top, left + 26, top + 24), 6, fill=LIGHT)
    return image


def images(folder: Path, corner: tuple[int, int]) -> Image.Image:
    """Numbered images, one behind the other."""
    image = Image.new("RGB", (SIDE, SIDE), DARK)
    draw = ImageDraw.Draw(image)
    for index, place in enumerate((88, 52, 16)):
        image.paste(split(folder, corner, 296), (place, 104 - place))
        draw.rectangle((place, 104 - place, place + 296, 400 - place), outline=LIGHT, width=3)
        draw.text((place + 10, 110 - place), f"0000{3 - index}", LIGHT, ImageFont.load_default(20))
    return image


def heat_map(folder: Path) -> Image.Image:
    with Image.open(next(get_result(folder, "drift").rglob("drift_*.png"))) as found:
        height = found.height * SIDE // found.width
        enlarged = found.convert("RGB").resize((SIDE, height), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (SIDE, SIDE), DARK)
    square.paste(enlarged, (0, (SIDE - height) // 2))
    return square


def sheet(folder: Path) -> Image.Image:
    """Two neighbours of the comparison: an interpolation and a model."""
    with Image.open(get_result(folder, "sheet") / "model_comparison_result.jpg") as found:
        width = found.width
        return (
            found.convert("RGB").crop((width // 2, 90, width, 90 + width // 2)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        )


def bars(folder: Path) -> Image.Image:
    """The median speeds of the benchmark."""
    rows = json.loads(next(get_result(folder, "bench").rglob("benchmark.json")).read_text(encoding="utf-8"))["rows"]
    speeds = {row["case"]["model"]: row["megapixels_per_second"] for row in rows}
    image = Image.new("RGB", (SIDE, SIDE), DARK)
    draw = ImageDraw.Draw(image)
    draw.text((24, 24), "Megapixels per second", LIGHT, ImageFont.load_default(30))
    for index, (name, speed) in enumerate(speeds.items()):
        top = 96 + index * 130
        draw.text((24, top), name, LIGHT, ImageFont.load_default(24))
        length = max(6, round(352 * speed / max(speeds.values())))
        draw.rounded_rectangle((24, top + 40, 24 + length, top + 84), 6, fill=(61, 111, 170))
        draw.rectangle((20 + length, top + 36, 26 + length, top + 88), fill=ACCENT)
    return image


TEMPLATES: dict[str, Callable[[Path], Image.Image]] = {
    "image_4x": lambda folder: badge(split(folder, (130, 150)), "Image, 4x"),
    "image_8k": lambda folder: badge(split(folder, (205, 140)), "Image to 8K"),
    "image_any": lambda folder: badge(split(folder, (257, 165)), "16 bits and alpha"),
    "video_8k": lambda folder: badge(video(folder, (290, 5)), "Video to 8K", 60),
    "video_8k_trt": lambda folder: badge(video(folder, (105, 20)), "8K with TensorRT", 60),
    "video_any": lambda folder: badge(video(folder, (15, 100)), "Video, any size", 60),
    "video_to_frames": lambda folder: badge(images(folder, (145, 15)), "Video to frames"),
    "frames_any": lambda folder: badge(images(folder, (257, 165)), "Frames to frames"),
    "frames_to_video": lambda folder: badge(video(folder, (330, 40)), "Frames to video", 60),
    "image_photograph": lambda folder: badge(
        split_result(folder, "image_photograph", "sample.png", (190, 150, 290, 250)), "Photograph"
    ),
    "video_restore": lambda folder: badge(
        frame_video(split_result(folder, "video_restore", "sample_old.mp4", (84, 44, 164, 124))), "Restore a video", 60
    ),
    "video_animation": lambda folder: badge(
        frame_video(split_result(folder, "video_animation", "sample_drawing.mp4", (120, 60, 220, 160))), "Animation", 60
    ),
    "video_steady": lambda folder: badge(
        frame_video(split_result(folder, "video_steady", "sample_old.mp4", (20, 60, 100, 140))), "Less flicker", 60
    ),
    "compare_models": sheet,
    "color_drift": heat_map,
    "benchmark": bars,
}


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else scratch).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for name in sys.argv[2:] or TEMPLATES:
            path = CHECKOUT / "workflows" / f"{name}.jpg"
            TEMPLATES[name](folder).save(path, quality=85, optimize=True)
            print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
