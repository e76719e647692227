"""How often artifacts are named on true originals, and how often injected damage is named, with its place.

    python tests/metrics/artifact_rates.py FOLDER...

Of each image of 480 pixels and more it takes two crops of up to 768 (images of 1600 pixels and more are halved first), reduces
them four times by area in linear light, and measures the original against its own reduction: a perfect result, where every
named fault is a false alarm. Then the same with damage: a halo, an echo of the edges, tiles 3 of 255 steps apart on four grids
with random phases, quantization to 48 levels, grain of 8 steps in 9 % of the image, and a color cast of 8 steps there. Damage
that nobody sees does not count: halos below 12 steps, echoes and bands without flat ground, and grain on texture.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))
FACTOR, SIDE, SMALLEST = 4, 768, 480
PITCHES = (200, 256, 308, 400)
WORDS = {
    "halo": ("Ringing", "Oversharpened"),
    "echo": ("Ringing",),
    "seams": ("Seams",),
    "banding": ("Banding",),
    "grain": ("Grain",),
    "cast": ("Color cast",),
}


def originals(folder: Path) -> Iterator[np.ndarray]:
    """(h, w, 3) float32, sides that are multiples of 8."""
    for path in sorted(folder.iterdir()):
        with Image.open(path) as file:
            image = file.convert("RGB")
        if min(image.size) < SMALLEST:
            continue
        image = image.reduce(2) if min(image.size) >= 1600 else image
        side = min(SIDE, *(length // 8 * 8 for length in image.size))
        for share_x, share_y in ((0.5, 0.5), (0.2, 0.8)):
            x, y = int((image.width - side) * share_x), int((image.height - side) * share_y)
            yield np.asarray(image.crop((x, y, x + side, y + side)), np.float32) / 255


def damages(image: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray, tuple[int, int, int, int] | None]]:
    """Name, damaged image, and the box of what was damaged, or None for all of it."""
    side = image.shape[0]
    part = side * 3 // 10
    x, y = (int(start) for start in rng.integers(0, side - part, 2))
    box = (x, y, x + part, y + part)
    inside = (slice(y, y + part), slice(x, x + part))
    yield "halo", image + 1.5 * (image - cv2.GaussianBlur(image, (0, 0), FACTOR)), None
    yield "echo", image + 0.5 * np.roll(image - cv2.GaussianBlur(image, (0, 0), 3), (12, 12), (0, 1)), None
    pitch = int(rng.choice([one for one in PITCHES if one < side * 0.8] or [side // 2]))
    rows, columns = ((np.arange(side) + int(rng.integers(pitch))) // pitch for _ in range(2))
    yield "seams", image + ((rows[:, None] + columns) % 2)[:, :, None] * 3 / 255, None
    yield "banding", np.floor(image * 48) / 48, None
    for name, change in (("grain", rng.normal(0, 8 / 255, (part, part, 1))), ("cast", np.array([8, 0, -8]) / 255)):
        damaged = image.copy()
        damaged[inside] += change
        yield name, damaged, box


def is_in_place(region: Any, box: tuple[int, int, int, int]) -> bool:
    """Whether the found region and the damaged box share more than 0.4 of their union."""
    x, y, right, bottom = (edge * FACTOR for edge in (region.x, region.y, region.right, region.bottom))
    shared = max(min(right, box[2]) - max(x, box[0]), 0) * max(min(bottom, box[3]) - max(y, box[1]), 0)
    return shared / ((right - x) * (bottom - y) + (box[2] - box[0]) * (box[3] - box[1]) - shared) > 0.4


def is_visible(name: str, original: np.ndarray, damaged: np.ndarray, box: tuple[int, int, int, int] | None) -> bool:
    """Whether a person would see the damage, by the damage and the original alone: texture hides echoes, bands and grain."""
    luma = original.mean(2)
    change = np.abs(np.clip(damaged, 0, 1) - original).mean(2)
    if name == "halo":
        return float(np.percentile(change, 99)) >= 12 / 255
    if name == "echo":
        kernel = np.ones((9, 9), np.uint8)
        flat = cv2.dilate(luma, kernel) - cv2.erode(luma, kernel) <= 12 / 255
        return float((flat & (change >= 6 / 255)).mean()) >= 0.003
    detail = luma - cv2.GaussianBlur(luma, (0, 0), FACTOR)
    if name == "banding":
        count = luma.shape[0] // 64
        ranges, noise = (
            measure(plane[: count * 64, : count * 64].reshape(count, 64, count, 64).swapaxes(1, 2).reshape(-1, 64 * 64), axis=1)
            for measure, plane in ((np.ptp, luma), (np.std, detail))
        )
        return float(((ranges <= 24 / 255) & (noise <= 1.5 / 255)).mean()) >= 0.1
    if box and name == "grain":
        x, y, right, bottom = box
        return float(detail[y:bottom, x:right].std()) <= 4 / 255
    return True


def main() -> None:
    """Print one row per folder; with --missed also the images whose visible damage was not named, and what was said."""
    from runtime.bootstrap import load_pack

    load_pack()
    from upscale8k.runtime.metrics import Degradation, measure_artifacts

    folders = [Path(argument) for argument in sys.argv[1:] if argument != "--missed"]
    print(f"| images | originals without a named fault | {' | '.join(f'{name} named' for name in WORDS)} |")
    print(f"|---|{'---:|' * (len(WORDS) + 1)}")
    for folder in folders:
        rng, counts, total = np.random.default_rng(1), Counter[str](), Counter[str]()
        missed: list[str] = []
        overshoots: list[float] = []
        for number, original in enumerate(originals(folder)):
            source = Degradation().reduce(original, FACTOR)
            clean = measure_artifacts(source, original)
            sentences = clean.sentences
            overshoots.append(clean.halo.relative if clean.halo else 0.0)
            total["clean"] += 1
            counts["clean"] += sentences[0].startswith("No visible")
            missed += [] if sentences[0].startswith("No visible") else [f"{number} original: {sentences}"]
            for name, damaged, box in damages(original, rng):
                if not is_visible(name, original, damaged, box):
                    continue
                found = measure_artifacts(source, np.clip(damaged, 0, 1).astype(np.float32))
                named = any(sentence.startswith(WORDS[name]) for sentence in found.sentences)
                placed = named and (box is None or any(is_in_place(one.region, box) for one in found.local))
                total[name] += 1
                counts[name] += placed
                missed += [] if placed else [f"{number} {name} {box}: {found.sentences} {found.halo} {found.banding}"]
        shares = [f"{counts[key]} of {total[key]}" for key in ("clean", *WORDS)]
        print(f"| {folder.name} | {' | '.join(shares)} |", flush=True)
        if "--missed" in sys.argv:
            print("\n".join(missed))
            print("ringing of the originals:", *(f"{one:.3f}" for one in sorted(overshoots)), flush=True)


if __name__ == "__main__":
    main()
