"""The tables of the documentation: color drift of x4plus on photographs, and how artifacts rank good and damaged images.

    python tests/metrics/ranking.py [--images FOLDER]... [--keep FOLDER]

Uses the middle 256 x 256 pixels of the photographs included in scikit-image and of those in the given folders. Real weights, on
the CPU. With --keep results are stored there as .npy and reused.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))
SIDE, FACTOR = 256, 4
OF_SCIKIT_IMAGE = (
    "astronaut.png",
    "coffee.png",
    "chelsea.png",
    "rocket.jpg",
    "motorcycle_left.png",
    "hubble_deep_field.jpg",
    "retina.jpg",
    "ihc.png",
    "grass.png",
    "brick.png",
    "camera.png",
    "coins.png",
)
RNG = np.random.default_rng(3)


def photographs(folders: list[Path]) -> Iterator[tuple[str, np.ndarray]]:
    """Name and the middle of each image, (256, 256, 3) float32; missing and smaller ones are skipped."""
    from skimage import data

    own = [Path(data.__file__).parent / name for name in OF_SCIKIT_IMAGE]
    for path in [*own, *(path for folder in folders for path in sorted(folder.glob("*.[jp][pn]g")))]:
        if path.is_file() and (middle := crop(path)) is not None:
            yield path.stem, middle


def crop(path: Path) -> np.ndarray | None:
    from PIL import Image

    with Image.open(path) as image:
        left, top = (image.width - SIDE) // 2, (image.height - SIDE) // 2
        if min(left, top) < 0:
            return None
        box = (left, top, left + SIDE, top + SIDE)
        return np.asarray(image.convert("RGB").crop(box), np.float32) / np.float32(255)


def upscaled(model: str, name: str, image: np.ndarray, keep: Path | None) -> np.ndarray:
    """Without any colour fix."""
    import torch
    from upscale8k.runtime.models.load import load_model
    from upscale8k.runtime.models.locate import find_model
    from upscale8k.runtime.progress import SilentProgress
    from upscale8k.runtime.upscale.image_batch import upscale_batch
    from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings

    kept = keep / f"{model}-{name}.npy" if keep else None
    if kept and kept.is_file():
        return np.load(kept)
    asked = TiledUpscaleSettings("model scale", "cpu")
    given, weights = torch.as_tensor(image)[None], load_model(find_model(model, ()))
    result = upscale_batch(given, weights, asked, lambda *_: SilentProgress())[0].numpy()
    if kept:
        np.save(kept, result)
    return result


def enlarged(image: np.ndarray, method: Any) -> np.ndarray:
    from PIL import Image

    planes = [Image.fromarray(plane).resize((SIDE * FACTOR,) * 2, method) for plane in np.moveaxis(image, 2, 0)]
    return np.clip(np.stack([np.asarray(plane) for plane in planes], axis=2), 0, 1)


def damaged(cubic: np.ndarray) -> dict[str, np.ndarray]:
    """A cubic enlargement, and what was done to it on purpose."""
    import cv2

    tiles = RNG.choice([-1, 1], (4, 4, 1)).repeat(256, 0).repeat(256, 1) * 2 / 255
    blurred = cv2.GaussianBlur(cubic, (0, 0), 4)
    made = {
        "bicubic, blurred": blurred,
        "bicubic, sharpened by 200 %": cubic + 2 * (cubic - blurred),
        "bicubic, noise of 5 steps": cubic + RNG.normal(0, 5 / 255, cubic.shape),
        "bicubic, tiles 4 steps apart": cubic + tiles,
        "bicubic, 16 levels": np.round(cubic * 15) / 15,
    }
    return {name: np.clip(image, 0, 1).astype(np.float32) for name, image in made.items()}


def drift_table(name: str, image: np.ndarray, result: np.ndarray) -> str:
    from upscale8k.runtime.metrics.artifact_measures.enlargement import Enlargement
    from upscale8k.runtime.metrics.artifact_measures.spectrum import measure_spectrum
    from upscale8k.runtime.metrics.drift import measure_drift
    from upscale8k.runtime.upscale.color_fix import fix_colors

    cells, details = [name], []
    for how in ("off", "mean", "low-frequency"):
        fixed = result.copy()
        fix_colors(image, fixed, how)
        cells += [f"{measure_drift(image, fixed, mode).de2000.mean:.2f}" for mode in ("full", "low-frequency")]
        details.append(measure_spectrum(Enlargement.from_images(image, fixed)))
    changes = [(getattr(details[2], band) / getattr(details[0], band)) ** 2 - 1 for band in ("detail", "invented")]
    return row([*cells, *(f"{change:+.2%}" for change in changes)])


def artifact_row(name: str, image: np.ndarray, result: np.ndarray) -> list[float]:
    """Halo in percent, consistency in dB, invented, sharpening in dB, noise, bands times their share, seams."""
    from upscale8k.runtime.metrics.artifacts import measure_artifacts

    found = measure_artifacts(image, result, 64)
    bands = found.banding.step * found.banding.share if found.banding else np.nan
    return [
        found.halo.relative * 100 if found.halo else np.nan,
        found.consistency.psnr_db,
        found.spectrum.invented,
        np.nan if found.spectrum.sharpening_db is None else found.spectrum.sharpening_db,
        found.noise.image if found.noise else np.nan,
        bands,
        found.seams.height if found.seams else np.nan,
    ]


def row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, action="append", default=[])
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args()
    from PIL import Image

    from runtime.bootstrap import load_pack

    load_pack()
    print(row(["photograph", *(f"{how}, {mode}" for how in ("off", "mean", "low-frequency") for mode in ("full", "low")),
               "detail energy", "above Nyquist"]))  # fmt: skip
    print("|---" * 9 + "|")
    found: dict[str, list[list[float]]] = {}
    for name, image in photographs(asked.images):
        models = {model: upscaled(model, name, image, asked.keep) for model in ("realesr-animevideov3", "realesrgan-x4plus")}
        print(drift_table(name, image, models["realesrgan-x4plus"]), flush=True)
        cubic = enlarged(image, Image.Resampling.BICUBIC)
        ways = {"bicubic": cubic, "Lanczos": enlarged(image, Image.Resampling.LANCZOS), **models, **damaged(cubic)}
        for way, result in ways.items():
            found.setdefault(way, []).append(artifact_row(way, image, result))
    print()
    print(
        row(
            ["mean over the photographs", "halo, %", "consistency, dB", "invented", "sharpening, dB", "noise", "bands", "seams"]
        )
    )
    print("|---" * 8 + "|")
    for way, rows in found.items():
        print(row([way, *(f"{value:.2f}" for value in np.nanmean(np.array(rows), axis=0))]))


if __name__ == "__main__":
    main()
