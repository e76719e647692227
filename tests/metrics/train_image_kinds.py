"""Grow the trees of runtime/metrics/image_kind.npz: python tests/metrics/train_image_kinds.py FOLDER... (needs scikit-learn).

Every image of the development and the first foreign set of ``image_kinds.tsv`` counts three times: as it is, smaller as a JPEG,
and as a part with noise, blur or without color. First each sixth of the packages is scored by trees of the others, for
``_SURE``; then the trees of all are written. The file in the repository was grown by these steps; other random copies give
other trees.
"""

import random
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.ensemble import ExtraTreesClassifier

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from runtime.bootstrap import load_pack

    load_pack()
from image_kinds import find_images, read_image
from upscale8k.runtime.metrics import image_kind

Bytes = NDArray[np.uint8]
Values = NDArray[np.float64]
FOLDS = 6
COPIES = np.array([1.5, 1, 0.8])
SHARES = (0.45, 0.4, 0.15)


def iterate_copies(image: Bytes, chance: random.Random) -> Iterator[Bytes]:
    yield image
    scale = chance.choice([512, 384, 640]) / max(image.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    yield compress(cv2.resize(image, None, fx=scale, fy=scale, interpolation=method), chance.randint(60, 90))
    height, width = (max(int(length * chance.uniform(0.5, 0.8)), 64) for length in image.shape[:2])
    top, left = (chance.randint(0, max(length - kept, 0)) for length, kept in zip(image.shape, (height, width), strict=False))
    part = image[top : top + height, left : left + width]
    change = chance.random()
    if change < 0.3:
        part = cv2.cvtColor(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    elif change < 0.5:
        part = cv2.GaussianBlur(part, (0, 0), chance.uniform(0.5, 1))
    elif change < 0.75:
        noise = np.random.default_rng(chance.getrandbits(31)).normal(0, chance.uniform(1, 5), part.shape)
        part = np.clip(part + noise, 0, 255).astype(np.uint8)
    yield compress(part, chance.randint(50, 92)) if chance.random() < 0.5 else part


def describe_copies(path: Path) -> list[Values]:
    image = read_image(path)
    image.thumbnail((768, 768), Image.Resampling.BOX)
    chance = random.Random(zlib.crc32(path.name.encode()))
    return [image_kind.compute_features(copy.astype(np.float32) / 255) for copy in iterate_copies(np.asarray(image), chance)]


def compress(image: Bytes, quality: int) -> Bytes:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def split_packages(packages: list[str], kinds: Values) -> NDArray[np.int64]:
    """Return a fold for each image: whole packages, largest first, each where its kinds are fewest."""
    counts = {name: np.bincount(kinds[np.array(packages) == name], minlength=3) / np.bincount(kinds) for name in packages}
    held, folds = np.zeros((FOLDS, 3)), dict[str, int]()
    for name in sorted(counts, key=lambda name: (-counts[name].max(), name)):
        folds[name] = int((np.square(held + counts[name]) - np.square(held)).sum(axis=1).argmin())
        held[folds[name]] += counts[name]
    return np.array([folds[name] for name in packages])


def weigh(packages: list[str], kinds: Values) -> Values:
    """Return a weight for each image: a package counts by the power 0.6 of its size, a kind by its share."""
    sizes = Counter(zip(packages, kinds, strict=True))
    weights = np.array([sizes[key] ** -0.4 for key in zip(packages, kinds, strict=True)])
    for kind, share in enumerate(SHARES):
        weights[kinds == kind] *= share * len(kinds) / weights[kinds == kind].sum()
    return weights


def grow(features: Values, kinds: Values, weights: Values) -> ExtraTreesClassifier:
    trees = ExtraTreesClassifier(80, max_leaf_nodes=100, max_features=0.25, random_state=0)
    return trees.fit(features.reshape(-1, features.shape[2]), kinds.repeat(3), np.outer(weights, COPIES).ravel())


def write(trees: ExtraTreesClassifier) -> None:
    columns = dict[str, list[Values]]()
    first, roots = 0, list[int]()
    for tree in (each.tree_ for each in trees.estimators_):
        leaf, itself = tree.children_left < 0, np.arange(tree.node_count) + first
        share = tree.value[:, 0] / tree.value[:, 0].sum(axis=1, keepdims=True)
        roots.append(first)
        first += tree.node_count
        for name, values, dtype in (
            ("feature", np.where(leaf, 0, tree.feature), np.uint16),
            ("threshold", np.where(leaf, 0, tree.threshold), np.float16),
            ("right", np.where(leaf, itself, tree.children_right + itself[0]), np.uint16),
            ("share", np.round(share[:, 1:] * 255), np.uint8),
        ):
            columns.setdefault(name, []).append(values.astype(dtype))
    stored = {name: np.concatenate(values) for name, values in columns.items()}
    np.savez_compressed(Path(image_kind.__file__).with_suffix(".npz"), root=np.array(roots, np.uint16), **stored)


def main(folders: list[str]) -> None:
    learned = ("development", "first foreign")
    found = [(kind, package, path) for split, kind, package, path in find_images(folders) if split in learned and path]
    packages, kinds = [package for _, package, _ in found], np.array([image_kind.KINDS.index(kind) for kind, _, _ in found])
    features = np.array([describe_copies(path) for _, _, path in found])
    weights, folds = weigh(packages, kinds), split_packages(packages, kinds)
    scores = np.zeros((len(found), 3))
    for fold in range(FOLDS):
        trees = grow(features[folds != fold], kinds[folds != fold], weights[folds != fold])
        scores[folds == fold] = trees.predict_proba(features[folds == fold, 0])
    for kind, name in enumerate(image_kind.KINDS):
        drawn = scores[kinds == kind, 1] > image_kind._SURE
        print(f"{name}: {drawn.sum()} of {drawn.size} images of packages left out are taken for drawings")
    write(grow(features, kinds, weights))


if __name__ == "__main__":
    main(sys.argv[1:])
