"""Precision and recall of the cut detector on scenes made of images: ``python tests/upscale/temporal/scene_cuts.py FOLDER``.

Each image is a scene of nine frames, four times: panned, zoomed, faded in and out, and lit by a flash. Noise is on every frame.
Without a folder the images are those of scikit-image that no limit was chosen with, and the sample of this pack. A larger set
that anybody can have is ``*-1.webp`` of the package comfyui-workflow-templates-media-image 0.3.160.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[3]
FRAMES, WIDTH, HEIGHT = 9, 256, 144
HELD_OUT = ("hubble_deep_field.jpg", "ihc.png", "gravel.png", "clock_motion.png", "motorcycle_left.png", "cell.png")
HELD_OUT += ("color.png",)
Image = np.ndarray


def warp(image: Image, zoom: float, x: float, y: float) -> Image:
    matrix = np.array([[zoom, 0, -x], [0, zoom, -y]], np.float32)
    return cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)


MOTIONS: dict[str, Callable[[Image, int], Image]] = {
    "pan": lambda image, index: warp(image, 1, 7 * index, 4 * index),
    "zoom": lambda image, index: warp(image, 1 + 0.04 * index, 2 * index, index),
    "fade": lambda image, index: warp(image, 1, index, 0) * min(0.25 + 0.2 * index, 1, 0.25 + 0.2 * (FRAMES - 1 - index)),
    "flash": lambda image, index: warp(image, 1, 2 * index, index) * (1.6 if index == 4 else 1) + (60 if index == 4 else 0),
}


def read_images(folder: Path | None) -> list[Image]:
    """Images (200, 320, 3), float32 in 0..255."""
    if folder is None:
        from skimage import data

        paths = [Path(data.__file__).parent / name for name in HELD_OUT] + [ROOT / "workflows" / "media" / "sample.png"]
    else:
        paths = sorted(folder.rglob("*"))
    found = [image for path in paths if path.is_file() and (image := cv2.imread(str(path))) is not None]
    return [cv2.resize(image, (320, 200), interpolation=cv2.INTER_AREA).astype(np.float32) for image in found]


def iterate_pairs(images: list[Image]) -> Iterator[tuple[str, bool, Image, Image]]:
    """Yield motion, whether a scene ends, and the luma before and after, in 8-bit steps."""
    rng = np.random.default_rng(17)
    for motion, move in MOTIONS.items():
        before: Image | None = None
        for number in rng.permutation(len(images)):
            for index in range(FRAMES):
                frame = move(images[number], index) + rng.normal(0, 4, (HEIGHT, WIDTH, 3))
                after = np.rint(frame).clip(0, 255).astype(np.float32).mean(axis=2)
                if before is not None:
                    yield motion, index == 0, before, after
                before = after


def count_cuts(images: list[Image]) -> tuple[int, int, int, int]:
    """Return cuts that were found, cuts, other pairs that were taken for cuts, and other pairs."""
    from upscale8k.runtime.upscale.temporal.steady import is_scene_cut, make_thumbnail

    counts = np.zeros(4, int)
    for _, is_cut, before, after in iterate_pairs(images):
        is_found = is_scene_cut(make_thumbnail(before), make_thumbnail(after))
        counts += [is_cut and is_found, is_cut, not is_cut and is_found, not is_cut]
    found, cuts, false, others = counts.tolist()
    return found, cuts, false, others


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from runtime.bootstrap import load_pack

    load_pack()
    chosen = read_images(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    right, all_cuts, wrong, pairs = count_cuts(chosen)
    print(f"{len(chosen)} images: {right} of {all_cuts} cuts found, {wrong} false in {pairs} other pairs;", end=" ")
    print(f"precision {right / max(right + wrong, 1):.3f}, recall {right / max(all_cuts, 1):.3f}")
