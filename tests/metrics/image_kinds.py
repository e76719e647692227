"""Measure the classifier of images: python tests/metrics/image_kinds.py FOLDER... [--variants].

``image_kinds.tsv`` has a row for each public image: set, what a person says, package, end of its path. The folders hold the
packages: Debian's, unpacked by ``dpkg -x``, and checkouts of public repositories, each with its name in the path.
``--variants`` also reduces and compresses each.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from runtime.bootstrap import load_pack

    load_pack()
from upscale8k.runtime.metrics.image_kind import KINDS, classify_image

Image.MAX_IMAGE_PIXELS = None


def find_images(folders: list[str]) -> Iterator[tuple[str, str, str, Path | None]]:
    """Yield set, kind, package and file of each row; None for a file that is not there."""
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in (path for folder in folders for path in Path(folder).rglob("*.*")):
        by_name[path.name].append(path)
    for line in Path(__file__).with_suffix(".tsv").read_text().splitlines():
        split, kind, package, name = line.split("\t")
        same = (path for path in by_name[Path(name).name] if path.as_posix().endswith(name))
        found = [path for path in same if package in path.as_posix()]
        yield split, kind, package, found[0] if found else None


def read_image(path: Path) -> Image.Image:
    with Image.open(path) as opened:
        return Image.alpha_composite(Image.new("RGBA", opened.size, "white"), opened.convert("RGBA")).convert("RGB")


def iterate_variants(path: Path, *, all_variants: bool) -> Iterator[tuple[str, Image.Image]]:
    image = read_image(path)
    for side, quality in ((1024, 0), (512, 0), (256, 0), (1024, 75), (512, 80)) if all_variants else ((1024, 0),):
        variant = image.copy()
        if max(image.size) > side:
            variant.thumbnail((side, side), Image.Resampling.BOX)
        if quality:
            variant.save(content := BytesIO(), "JPEG", quality=quality)
            variant = Image.open(content)
        yield f"{side} px, JPEG q{quality}" if quality else f"{side} px", variant


def main(arguments: list[str]) -> None:
    folders = [argument for argument in arguments if argument != "--variants"]
    tables: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for split, kind, _, found in find_images(folders):
        if not found:
            tables[split, kind, "not found"]["missing"] += 1
            continue
        for variant, image in iterate_variants(found, all_variants="--variants" in arguments):
            tables[split, kind, variant][classify_image([np.asarray(image, np.float32) / 255])] += 1
    print("| set | a person says | variant | " + " | ".join(KINDS) + " | not found |\n|---|---|---|---|---|---|---|")
    for names, answers in sorted(tables.items()):
        print(f"| {' | '.join(names)} | " + " | ".join(str(answers[each]) for each in (*KINDS, "missing")) + " |")


if __name__ == "__main__":
    main(sys.argv[1:])
