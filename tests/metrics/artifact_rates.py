"""How often artifacts are named on true originals, and how often injected damage is named, with its place.

    python tests/metrics/artifact_rates.py FOLDER...

Of each image of 480 pixels and more it takes two crops of up to 768, one where the image is no larger (images of 1600 pixels
and more are halved first), reduces them four times, and measures the original against its own reduction: a perfect result,
where every named fault is a false alarm. That is done for each reduction that people use: by area in linear light, and by
area, bicubic and Lanczos on encoded values, rounded to 8 bits. Then the same with damage, each with one of these reductions
by chance: a halo, an echo of the edges, tiles 3 of 255 steps apart on four grids with random phases, quantization to 32, 48,
64 and 96 levels, grain of 8 steps in 9 % of the image, and a color cast of 8 steps there. Damage that cannot be seen does not
count: halos, echoes and bands without flat ground, grain on texture, and casts below 1.0 of CIEDE2000.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))
FACTOR, SIDE, SMALLEST = 4, 768, 480
LEVELS = (32, 48, 64, 96)
REDUCTIONS = {
    "area": None,
    "area, encoded": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "Lanczos": Image.Resampling.LANCZOS,
}
PITCHES = (200, 256, 308, 400)
BARELY_NOTICEABLE = 1.0
"""CIEDE2000."""
WORDS = {
    "halo": "Ringing",
    "echo": "Ringing",
    "seams": "Seams",
    "banding": "Banding",
    "grain": "Grain",
    "cast": "Color cast",
}
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class Damage:
    """An image with damage, and where that is: in a box of left, top, right, bottom, or at lines, or everywhere."""

    name: str
    image: np.ndarray
    box: tuple[int, int, int, int] | None = None
    lines: tuple[np.ndarray, np.ndarray] | None = None
    """Positions of vertical and horizontal seams."""


def originals(folder: Path) -> Iterator[np.ndarray]:
    """(h, w, 3) float32, sides that are multiples of 8."""
    for path in sorted(one for one in folder.rglob("*") if one.suffix.lower() in SUFFIXES):
        with Image.open(path) as file:
            image = file.convert("RGB")
        if min(image.size) < SMALLEST:
            continue
        image = image.reduce(2) if min(image.size) >= 1600 else image
        side = min(SIDE, *(length // 8 * 8 for length in image.size))
        shares = ((0.5, 0.5), (0.2, 0.8))
        for x, y in dict.fromkeys((int((image.width - side) * one), int((image.height - side) * two)) for one, two in shares):
            yield np.asarray(image.crop((x, y, x + side, y + side)), np.float32) / 255


def reduce(original: np.ndarray, resampling: Image.Resampling | None) -> np.ndarray:
    """Reduce as people do, to 8 bits; None is the area in linear light."""
    from upscale8k.runtime.metrics import Degradation

    if resampling is None:
        return np.rint(Degradation().reduce(original, FACTOR) * 255).astype(np.float32) / 255
    size = (original.shape[1] // FACTOR, original.shape[0] // FACTOR)
    return np.asarray(Image.fromarray(np.rint(original * 255).astype(np.uint8)).resize(size, resampling), np.float32) / 255


def damages(image: np.ndarray, rng: np.random.Generator) -> Iterator[Damage]:
    """Every kind of damage, clipped to 0..1."""
    side = image.shape[0]
    part = side * 3 // 10
    x, y = (int(start) for start in rng.integers(0, side - part, 2))
    box = (x, y, x + part, y + part)
    yield Damage("halo", clip(image + 1.5 * (image - cv2.GaussianBlur(image, (0, 0), FACTOR))))
    yield Damage("echo", clip(image + 0.5 * np.roll(image - cv2.GaussianBlur(image, (0, 0), 3), (12, 12), (0, 1))))
    pitch = int(rng.choice([one for one in PITCHES if one < side * 0.8] or [side // 2]))
    rows, columns = ((np.arange(side) + int(rng.integers(pitch))) // pitch for _ in range(2))
    board = ((rows[:, None] + columns) % 2)[:, :, None] * 3 / 255
    lines = (np.flatnonzero(np.diff(columns)) + 1, np.flatnonzero(np.diff(rows)) + 1)
    yield Damage("seams", clip(image + board), lines=lines)
    yield from (Damage("banding", clip(np.floor(image * levels) / levels)) for levels in LEVELS)
    for name, change in (("grain", rng.normal(0, 8 / 255, (part, part, 1))), ("cast", np.array([8, 0, -8]) / 255)):
        damaged = image.copy()
        damaged[y : y + part, x : x + part] += change
        yield Damage(name, clip(damaged), box)


def clip(image: np.ndarray) -> np.ndarray:
    return np.clip(image, 0, 1).astype(np.float32)


def is_named(damage: Damage, original: np.ndarray, found: Any) -> bool:
    """Whether the damage is named at its place.

    The box of a fault of a part shares more than 0.4 of its union with the damaged box; three of four seams that are found are
    within 1.5 pixels of the source of one that was made; and the region where the others are worst shows damage by itself.
    """
    places = [one.region for one in found.findings if one.sentence.startswith(WORDS[damage.name])]
    if not places or places[0] is None:
        return False
    if damage.lines:
        pairs = zip(damage.lines, (found.seams.columns, found.seams.rows), strict=True)
        near = [bool((np.abs(made / FACTOR - line) <= 1.5).any()) for made, lines in pairs for line in lines]
        return float(np.mean(near)) >= 0.75
    left, top, right, bottom = (edge * FACTOR for edge in (places[0].x, places[0].y, places[0].right, places[0].bottom))
    if damage.box is None:
        part = (slice(top, bottom), slice(left, right))
        return is_visible(Damage(damage.name, damage.image[part]), original[part])
    x, y, end, low = damage.box
    shared = max(min(right, end) - max(left, x), 0) * max(min(bottom, low) - max(top, y), 0)
    return shared / ((right - left) * (bottom - top) + (end - x) * (low - y) - shared) > 0.4


def is_visible(damage: Damage, original: np.ndarray) -> bool:
    """Whether a person would see the damage, by the damage and the original alone: texture hides echoes, bands and grain."""
    name, damaged, box = damage.name, damage.image, damage.box
    luma = original.mean(2)
    change = np.abs(damaged - original).mean(2)
    if name in ("halo", "echo"):
        side, steps, share = {"halo": (FACTOR, 12, 0.001), "echo": (9, 6, 0.003)}[name]
        kernel = np.ones((side, side), np.uint8)
        flat = cv2.dilate(luma, kernel) - cv2.erode(luma, kernel) <= 12 / 255
        return float((flat & (change >= steps / 255)).mean()) >= share
    detail = luma - cv2.GaussianBlur(luma, (0, 0), FACTOR)
    if name == "banding":
        rows, columns = (length // 64 for length in luma.shape)
        error = cv2.blur(damaged.mean(2) - luma, (FACTOR, FACTOR))
        ranges, noise, error = (
            measure(
                plane[: rows * 64, : columns * 64].reshape(rows, 64, columns, 64).swapaxes(1, 2).reshape(-1, 64 * 64), axis=1
            )
            for measure, plane in ((np.ptp, luma), (np.std, detail), (np.std, error))
        )
        return float(((ranges <= 24 / 255) & (noise <= 1.5 / 255) & (error >= 0.75 / 255)).mean()) >= 0.1
    if box and name == "grain":
        x, y, right, bottom = box
        return float(detail[y:bottom, x:right].std()) <= 4 / 255
    if box and name == "cast":
        x, y, right, bottom = box
        parts = (one[y:bottom, x:right] for one in (original, damaged))
        return float(np.median(deltaE_ciede2000(*(rgb2lab(cv2.blur(part, (32, 32))) for part in parts)))) >= BARELY_NOTICEABLE
    return True


def main() -> None:
    """Print one row per folder; with --missed also the images whose visible damage was not named, and what was said."""
    from runtime.bootstrap import load_pack

    load_pack()
    from upscale8k.runtime.metrics import measure_artifacts

    folders = [Path(argument) for argument in sys.argv[1:] if argument != "--missed"]
    titles = [*(f"no fault named on originals, {name}" for name in REDUCTIONS), *(f"{name} named" for name in WORDS)]
    print(f"| images | {' | '.join(titles)} |")
    print(f"|---|{'---:|' * len(titles)}")
    everything = Counter[str](), Counter[str]()
    for folder in folders:
        rng, counts, total, missed = np.random.default_rng(1), Counter[str](), Counter[str](), list[str]()
        for number, original in enumerate(originals(folder)):
            sources = {name: reduce(original, resampling) for name, resampling in REDUCTIONS.items()}
            for name, source in sources.items():
                sentences = measure_artifacts(source, original).sentences
                total[name] += 1
                counts[name] += (is_clean := sentences[0].startswith("No visible"))
                missed += [] if is_clean else [f"{number} original, {name}: {sentences}"]
            for damage in damages(original, rng):
                name = str(rng.choice(list(sources)))
                if not is_visible(damage, original):
                    continue
                found = measure_artifacts(sources[name], damage.image)
                named = is_named(damage, original, found)
                total[damage.name] += 1
                counts[damage.name] += named
                missed += [] if named else [f"{number} {damage.name} {damage.box}, {name}: {found.sentences} {found.halo}"]
        print_row(folder.name, counts, total)
        if "--missed" in sys.argv:
            print("\n".join(missed), flush=True)
        for sums, one in zip(everything, (counts, total), strict=True):
            sums.update(one)
    print_row("all", *everything)


def print_row(name: str, counts: Counter[str], total: Counter[str]) -> None:
    shares = [
        f"{counts[key]} of {total[key]}" + (f" ({counts[key] / total[key]:.0%})" if total[key] else "")
        for key in (*REDUCTIONS, *WORDS)
    ]
    print(f"| {name} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
