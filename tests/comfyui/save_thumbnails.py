"""Make the thumbnails of the shipped workflows from what they give: ``python tests/comfyui/save_thumbnails.py [FOLDER]``.

Runs the engine on the sample photograph (minutes on two cores; FOLDER keeps the results for another time) and writes
workflows/NAME.jpg, which ComfyUI's template browser shows as a square.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

CHECKOUT = Path(__file__).resolve().parents[2]
SAMPLE = CHECKOUT / "workflows" / "media" / "sample.png"
SIDE = 400
DETAIL = (205, 140, 305, 240)  # of the sample: rim and spoon, as a square
DARK, LIGHT, ACCENT = (19, 21, 27), (238, 240, 244), (245, 170, 66)
MODELS = "realesr-animevideov3,realesrgan-x4plus"


def command(*arguments: object) -> None:
    """``python -m runtime`` as a person runs it."""
    subprocess.run([sys.executable, "-m", "runtime", *map(str, arguments), "--progress", "none"], cwd=CHECKOUT, check=True)


def results(folder: Path) -> None:
    """Everything that the images below are made of, where it is not there yet."""
    if not (folder / "4x.png").is_file():
        command("upscale", SAMPLE, "-o", folder / "4x.png", "--to", "4x", "-m", "realesr-animevideov3")
    if not (folder / "drift").is_dir():
        command("run", "workflows/color_drift.json", "--set", "TiledUpscale.target=4x", "--output-dir", folder / "drift")
    if not (folder / "sheet").is_dir():
        command("compare", SAMPLE, "-o", folder / "sheet", "--models", MODELS, "--crop", "128x96+190+60")
    if not (folder / "bench").is_dir():
        small = ("--set", "Benchmark.sizes=96x96", "--set", "Benchmark.repeats=1")
        command("run", "workflows/benchmark.json", *small, "--output-dir", folder / "bench")


def badge(image: Image.Image, words: str, above: int = 16) -> Image.Image:
    """A dark label in the lower left corner."""
    font = ImageFont.load_default(40)
    draw = ImageDraw.Draw(image, "RGBA")
    left, _, right, _ = draw.textbbox((0, 0), words, font)
    bottom = SIDE - above
    draw.rounded_rectangle((16, bottom - 62, 48 + right - left, bottom), 10, fill=(*DARK, 225))
    draw.text((32 - left, bottom - 32), words, LIGHT, font, anchor="lm")
    return image


def before(size: int = SIDE) -> Image.Image:
    with Image.open(SAMPLE) as sample:
        return sample.convert("RGB").crop(DETAIL).resize((size, size), Image.Resampling.NEAREST)


def after(folder: Path, size: int = SIDE) -> Image.Image:
    with Image.open(folder / "4x.png") as upscaled:
        box = [4 * side for side in DETAIL]
        return upscaled.convert("RGB").crop((box[0], box[1], box[2], box[3])).resize((size, size), Image.Resampling.LANCZOS)


def split(folder: Path, size: int = SIDE) -> Image.Image:
    """The source on the left, the result on the right."""
    image = before(size)
    image.paste(after(folder, size).crop((size // 2, 0, size, size)), (size // 2, 0))
    ImageDraw.Draw(image).line((size // 2, 0, size // 2, size), LIGHT, 3)
    return image


def video(folder: Path) -> Image.Image:
    """The split image between the two perforated edges of a video."""
    image = Image.new("RGB", (SIDE, SIDE), DARK)
    image.paste(split(folder).crop((0, 44, SIDE, SIDE - 44)), (0, 44))
    draw = ImageDraw.Draw(image)
    for left in range(12, SIDE, 48):
        for top in (10, SIDE - 34):
            draw.rounded_rectangle((left, top, left + 26, top + 24), 6, fill=LIGHT)
    return image


def images(folder: Path) -> Image.Image:
    """Numbered images, one behind the other."""
    image = Image.new("RGB", (SIDE, SIDE), DARK)
    draw = ImageDraw.Draw(image)
    for index, place in enumerate((88, 52, 16)):
        image.paste(split(folder, 296), (place, 104 - place))
        draw.rectangle((place, 104 - place, place + 296, 400 - place), outline=LIGHT, width=3)
        draw.text((place + 10, 110 - place), f"0000{3 - index}", LIGHT, ImageFont.load_default(20))
    return image


def heat_map(folder: Path) -> Image.Image:
    with Image.open(next((folder / "drift").rglob("drift_*.png"))) as found:
        height = found.height * SIDE // found.width
        enlarged = found.convert("RGB").resize((SIDE, height), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (SIDE, SIDE), DARK)
    square.paste(enlarged, (0, (SIDE - height) // 2))
    return square


def sheet(folder: Path) -> Image.Image:
    """Two neighbours of the comparison: an interpolation and a model."""
    with Image.open(folder / "sheet" / "model_comparison_result.jpg") as found:
        width = found.width
        return (
            found.convert("RGB").crop((width // 2, 90, width, 90 + width // 2)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        )


def bars(folder: Path) -> Image.Image:
    """The median speeds of the benchmark."""
    rows = json.loads(next((folder / "bench").rglob("benchmark.json")).read_text(encoding="utf-8"))["rows"]
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


def thumbnails(folder: Path) -> dict[str, Image.Image]:
    return {
        "image_4x": badge(split(folder), "4x"),
        "image_8k": badge(split(folder), "8K"),
        "image_any": badge(split(folder), "16 bit, alpha"),
        "video_8k": badge(video(folder), "8K", 60),
        "video_8k_trt": badge(video(folder), "8K TensorRT", 60),
        "video_any": badge(video(folder), "any film", 60),
        "video_to_frames": badge(images(folder), "film to pictures"),
        "frames_any": badge(images(folder), "pictures"),
        "frames_to_video": badge(video(folder), "pictures to film", 60),
        "compare_models": sheet(folder),
        "color_drift": heat_map(folder),
        "benchmark": bars(folder),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else scratch).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        results(folder)
        for name, image in thumbnails(folder).items():
            path = CHECKOUT / "workflows" / f"{name}.jpg"
            image.save(path, quality=85, optimize=True)
            print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
