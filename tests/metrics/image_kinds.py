"""Measure the classifier of images: python tests/metrics/image_kinds.py FOLDER... [--screenshots FOLDER].

``image_kinds.tsv`` names public images. The folders hold them: Debian's packages mate-backgrounds, ukui-wallpapers,
lomiri-wallpapers-16.04, lomiri-wallpapers-20.04, plasma-workspace-wallpapers, openclipart-png and opencv-doc unpacked by
``dpkg -x``, scikit-image, and ComfyUI's workflow templates. Screenshots are anybody's own, all of them held out.
"""

import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from runtime.bootstrap import load_pack

    load_pack()
from upscale8k.runtime.metrics.image_kind import KINDS, classify_image

Image.MAX_IMAGE_PIXELS = None


def classify(path: Path) -> str:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGBA"), np.float32) / 255
    return classify_image([pixels])


def main(arguments: list[str]) -> None:
    folders = arguments[: arguments.index("--screenshots")] if "--screenshots" in arguments else arguments
    rows = [line.split("\t") for line in Path(__file__).with_suffix(".tsv").read_text().splitlines()]
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in (path for folder in folders for path in Path(folder).rglob("*.*")):
        by_name[path.name].append(path)
    tables: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for split, kind, name in rows:
        found = [path for path in by_name[Path(name).name] if path.as_posix().endswith(name)]
        tables[split, kind][classify(found[0]) if found else "missing"] += 1
    for path in Path(arguments[-1]).glob("*.png") if "--screenshots" in arguments else ():
        tables["held out", "text"][classify(path)] += 1
    print("| set | a person says | " + " | ".join(KINDS) + " | not found |\n|---|---|---|---|---|---|")
    for (split, kind), answers in tables.items():
        print(f"| {split} | {kind} | " + " | ".join(str(answers[each]) for each in (*KINDS, "missing")) + " |")


if __name__ == "__main__":
    main(sys.argv[1:])
