"""Measure the classifier of images: python tests/metrics/image_kinds.py FOLDER... [--variants].

``image_kinds.tsv`` names public images. The folders hold them: Debian's packages mate-backgrounds, ukui-wallpapers,
lomiri-wallpapers-16.04, lomiri-wallpapers-20.04, plasma-workspace-wallpapers, openclipart-png, opencv-doc, endless-sky-data,
tuxpaint-data, tuxpaint-stamps-default, renpy-demo, supertux-data, hedgewars-data, frozen-bubble-data, pingus-data,
sway-backgrounds, kphotoalbum, debian-handbook, gnome-user-docs, mate-user-guide, khelpcenter and inkscape-tutorials unpacked
by ``dpkg -x``, scikit-image, and ComfyUI's workflow templates. ``--variants`` also reduces and compresses each.
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


def iterate_variants(path: Path, *, all_variants: bool) -> Iterator[tuple[str, Image.Image]]:
    with Image.open(path) as opened:
        image = Image.alpha_composite(Image.new("RGBA", opened.size, "white"), opened.convert("RGBA")).convert("RGB")
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
    rows = [line.split("\t") for line in Path(__file__).with_suffix(".tsv").read_text().splitlines()]
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in (path for folder in folders for path in Path(folder).rglob("*.*")):
        by_name[path.name].append(path)
    tables: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for split, kind, name in rows:
        found = [path for path in by_name[Path(name).name] if path.as_posix().endswith(name)]
        if not found:
            tables[split, kind, "not found"]["missing"] += 1
            continue
        for variant, image in iterate_variants(found[0], all_variants="--variants" in arguments):
            tables[split, kind, variant][classify_image([np.asarray(image, np.float32) / 255])] += 1
    print("| set | a person says | variant | " + " | ".join(KINDS) + " | not found |\n|---|---|---|---|---|---|---|")
    for names, answers in sorted(tables.items()):
        print(f"| {' | '.join(names)} | " + " | ".join(str(answers[each]) for each in (*KINDS, "missing")) + " |")


if __name__ == "__main__":
    main(sys.argv[1:])
