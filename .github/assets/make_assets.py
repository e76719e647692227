"""Make the icon and the banner that the registry shows: ``python .github/assets/make_assets.py UPSCALED``.

UPSCALED is the sample photograph at four times its size:
``python -m runtime upscale workflows/media/sample.png -o UPSCALED --to 4x -m realesrgan-x4plus``.
"""

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parents[1] / "workflows" / "media" / "sample.png"
ICON = 400
BANNER = (1260, 540)  # 21:9
DETAIL = (205, 120, 345, 270)  # of the sample: rim and spoon
DARK, BLUE, LIGHT, GREY, ORANGE = (19, 21, 27), (61, 111, 170), (238, 240, 244), (170, 176, 188), (245, 170, 66)


def sharp() -> Image.Image:
    """8K on a slope of colour."""
    slope = Image.linear_gradient("L").rotate(45).resize((ICON, ICON))
    picture = Image.composite(Image.new("RGB", slope.size, (36, 64, 112)), Image.new("RGB", slope.size, BLUE), slope)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(250)
    draw.text((ICON // 2, ICON // 2), "8K", LIGHT, font, anchor="mm", stroke_width=9)
    return picture


def icon() -> Image.Image:
    """The left half in coarse pixels, the right half sharp, with round corners."""
    picture = sharp()
    coarse = picture.resize((20, 20), Image.Resampling.BOX).resize((ICON, ICON), Image.Resampling.NEAREST)
    picture.paste(coarse.crop((0, 0, ICON // 2, ICON)), (0, 0))
    ImageDraw.Draw(picture).line((ICON // 2, 0, ICON // 2, ICON), ORANGE, 6)
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, ICON - 1, ICON - 1), 72, fill=255)
    picture.putalpha(mask)
    return picture


def banner(upscaled: Image.Image) -> Image.Image:
    """What it is called and what it does, beside a detail before and after."""
    width, height = BANNER
    picture = Image.new("RGB", BANNER, DARK)
    side = height
    with Image.open(SAMPLE) as sample:
        before = sample.convert("RGB").crop(DETAIL).resize((side * 14 // 15, side), Image.Resampling.NEAREST)
    after = upscaled.convert("RGB").crop(tuple(4 * edge for edge in DETAIL)).resize(before.size, Image.Resampling.LANCZOS)
    left, half = width - before.width, before.width // 2
    picture.paste(before, (left, 0))
    picture.paste(after.crop((half, 0, after.width, side)), (left + half, 0))
    draw = ImageDraw.Draw(picture)
    draw.line((left + half, 0, left + half, height), ORANGE, 4)
    mark = icon().resize((120, 120), Image.Resampling.LANCZOS)
    picture.paste(mark, (56, 72), mark)
    draw.text((200, 132), "Upscale8K", LIGHT, ImageFont.load_default(84), anchor="lm")
    lines = ("Pictures and films to 8K.", "Tiles without seams. Memory that does not grow.", "On the canvas, and without it.")
    for index, line in enumerate(lines):
        draw.text((56, 268 + 60 * index), line, GREY, ImageFont.load_default(30))
    return picture


def main() -> None:
    with Image.open(sys.argv[1]) as upscaled:
        banner(upscaled).save(HERE / "banner.png", optimize=True)
    icon().quantize(128, method=Image.Quantize.FASTOCTREE).save(HERE / "icon.png", optimize=True)


if __name__ == "__main__":
    main()
