"""How often artifacts are named on true originals, and how often injected damage is named, with its place.

    python tests/metrics/artifact_rates.py FOLDER...

Of each image of the folders it takes two crops of up to 768 pixels (images of 1600 pixels and more are halved first), reduces
them four times by area in linear light, and measures the original against its own reduction: a perfect result, where every
named fault is a false alarm. Then the same with damage: a halo, an echo of the edges, tiles 3 of 255 steps apart on four grids
with random phases, quantization to 48 levels, grain of 8 steps in 9 % of the image, and a color cast of 8 steps there.
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
FACTOR, SIDE = 4, 768
PITCHES = (200, 256, 308, 400)
WORDS = {
    "halo": "Ringing",
    "echo": "Ringing",
    "seams": "Seams",
    "banding": "Banding",
    "grain": "Grain",
    "cast": "Color cast",
}


def originals(folder: Path) -> Iterator[np.ndarray]:
    """(h, w, 3) float32, sides that are multiples of 8."""
    for path in sorted(folder.iterdir()):
        with Image.open(path) as file:
            image = file.convert("RGB")
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


def main() -> None:
    """Print one row per folder."""
    from runtime.bootstrap import load_pack

    load_pack()
    from upscale8k.runtime.metrics import Degradation, measure_artifacts

    print(f"| images | originals without a named fault | {' | '.join(f'{name} named' for name in WORDS)} |")
    print(f"|---|{'---:|' * (len(WORDS) + 1)}")
    for folder in map(Path, sys.argv[1:]):
        rng, counts, total = np.random.default_rng(1), Counter[str](), 0
        for original in originals(folder):
            total += 1
            source = Degradation().reduce(original, FACTOR)
            counts["clean"] += measure_artifacts(source, original).sentences[0].startswith("No visible")
            for name, damaged, box in damages(original, rng):
                found = measure_artifacts(source, np.clip(damaged, 0, 1).astype(np.float32))
                named = any(sentence.startswith(WORDS[name]) for sentence in found.sentences)
                counts[name] += named and (box is None or any(is_in_place(one.region, box) for one in found.local))
        shares = [f"{counts[key]} of {total}" for key in ("clean", *WORDS)]
        print(f"| {folder.name} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
