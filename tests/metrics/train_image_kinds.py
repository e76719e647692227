"""Teach the network of runtime/metrics/image_kind.npz: python tests/metrics/train_image_kinds.py BASE FOLDER...

BASE holds MobileNetV2 with weights of ImageNet as TensorFlow.js stores the one of Keras: ``model.json`` and its shards. The npm
package nsfwjs (MIT) has it as ``dist/models/mobilenet_v2/*.min.js``, which ``require`` turns into these; its own layers on top
are not used. The blocks before ``_FIRST`` stay as they are. The others learn in ``ROUNDS``, from six views of each image an
epoch, for two and a half hours on two cores. ``image_kinds.py`` measures the other sets. The file in the repository was made by
these steps (the first round in fp32); another order of the views gives other weights.
"""

import json
import math
import random
import sys
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import Conv2d, Dropout, Linear, Module, ModuleList, ReLU, Sequential

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from runtime.bootstrap import load_pack

    load_pack()
from image_kinds import find_images, read_image
from upscale8k.runtime.metrics import image_kind

Bytes = NDArray[np.uint8]
_FIRST_SETS = ("development", "second development", "second foreign", "third foreign")


class Round(NamedTuple):
    """Some epochs over some sets, from the first ``views`` of each image."""

    sets: tuple[str, ...]
    epochs: int
    views: int


ROUNDS = (
    Round(_FIRST_SETS, 5, 6),
    Round((*_FIRST_SETS, "third development"), 6, 11),
    Round((*_FIRST_SETS, "third development", "fourth development"), 5, 11),
)
SEEDS = ("", "second")
"""Each gives five views of an image besides the whole."""
SHARES = (0.47, 0.4, 0.13)
"""Of photographs, drawings and text in what is learned."""
VIEWS, BATCH, RATE = 6, 64, 1e-3
_FIRST = 6
"""The first block that learns."""


class Blocks(Module):
    """MobileNetV2, its batch normalization folded into the convolutions, with two linear layers on top."""

    def __init__(self, base: Path) -> None:
        super().__init__()
        stored = read_weights(base)
        self.stem = fold(stored, "Conv1", "bn_Conv1")
        self.blocks = ModuleList()
        for block in range(len(image_kind._STRIDES)):
            name = f"block_{block}" if block else "expanded_conv"
            steps = ("expand", "depthwise", "project")[not block :]
            self.blocks.append(ModuleList(fold(stored, f"{name}_{step}", f"{name}_{step}_BN") for step in steps))
        channels = 2 * self.blocks[-1][-1].out_channels
        self.head = Sequential(Linear(channels, 64), ReLU(), Dropout(0.3), Linear(64, 3))

    def run_first(self, pixels: Tensor) -> Tensor:
        """(N, 3, 224, 224) in -1..1 to (N, 32, 28, 28)."""
        features = F.conv2d(F.pad(pixels, (0, 1, 0, 1)), self.stem.weight, self.stem.bias, 2).clamp(0, 6)
        return self._run_blocks(features, 0, _FIRST)

    def forward(self, features: Tensor) -> Tensor:
        """(N, 32, 28, 28) to logits (N, 3)."""
        features = self._run_blocks(features, _FIRST, len(self.blocks))
        return self.head(torch.cat([features.mean((2, 3)), features.std((2, 3))], dim=1))

    def _run_blocks(self, features: Tensor, first: int, end: int) -> Tensor:
        for block in range(first, end):
            *expand, depthwise, project = self.blocks[block]
            wide = expand[0](features).clamp(0, 6) if expand else features
            stride = image_kind._STRIDES[block]
            padded = F.pad(wide, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
            seen = F.conv2d(padded, depthwise.weight, depthwise.bias, stride, groups=depthwise.out_channels)
            narrow = project(seen.clamp(0, 6))
            features = features + narrow if narrow.shape == features.shape else narrow
        return features


def read_weights(base: Path) -> dict[str, Tensor]:
    model = json.loads((base / "model.json").read_text())["weightsManifest"][0]
    content, at, found = b"".join((base / name).read_bytes() for name in model["paths"]), 0, dict[str, Tensor]()
    for each in model["weights"]:
        count, stored = math.prod(each["shape"]), each["quantization"]
        values = np.frombuffer(content, stored["dtype"], count, at) * np.float32(stored["scale"]) + np.float32(stored["min"])
        found[each["name"]] = torch.from_numpy(values.astype(np.float32).reshape(each["shape"]))
        at += count * np.dtype(stored["dtype"]).itemsize
    return found


def fold(stored: dict[str, Tensor], name: str, norm: str) -> Conv2d:
    by_channel = f"{name}/depthwise_kernel" in stored
    kernel = (
        stored[f"{name}/depthwise_kernel"].permute(2, 3, 0, 1) if by_channel else stored[f"{name}/kernel"].permute(3, 2, 0, 1)
    )
    gain = stored[f"{norm}/gamma"] / torch.sqrt(stored[f"{norm}/moving_variance"] + 1e-3)
    groups = kernel.shape[0] if by_channel else 1
    conv = Conv2d(kernel.shape[1] * groups, kernel.shape[0], kernel.shape[2], groups=groups)
    conv.weight.data = (kernel * gain[:, None, None, None]).contiguous()
    assert conv.bias is not None
    conv.bias.data = stored[f"{norm}/beta"] - stored[f"{norm}/moving_mean"] * gain
    return conv


def cut_views(image: Bytes, chance: random.Random) -> list[Bytes]:
    """Return the whole as it is and changed, a changed part of it, and three parts of its own pixels, two of them changed."""
    side = image_kind._SIDE
    sized = image_kind._resize(image, *(max(length, side) for length in image.shape[:2]))
    scale = max(chance.choice((0.6, 0.8, 1, 1.3)), side / min(sized.shape[:2]))
    other = image_kind._resize(sized, *(max(round(length * scale), side) for length in sized.shape[:2]))
    wholes = [image, change(image, chance), change(cut(image, chance, chance.uniform(0.5, 0.95)), chance)]
    return [image_kind._resize(whole, side, side) for whole in wholes] + [
        cut(sized, chance),
        change(cut(other, chance), chance),
        change(cut(sized, chance), chance),
    ]


def cut(image: Bytes, chance: random.Random, share: float = 0) -> Bytes:
    lengths = [max(int(length * share), 64) if share else image_kind._SIDE for length in image.shape[:2]]
    kept = [min(length, whole) for length, whole in zip(lengths, image.shape[:2], strict=True)]
    top, left = (chance.randint(0, whole - length) for whole, length in zip(image.shape[:2], kept, strict=True))
    return image[top : top + kept[0], left : left + kept[1]]


def change(image: Bytes, chance: random.Random) -> Bytes:
    """Mirror, discolor, blur, roughen and compress, each at times."""
    changed = np.ascontiguousarray(image[:, ::-1] if chance.random() < 0.5 else image)
    if chance.random() < 0.12:
        changed = cv2.cvtColor(cv2.cvtColor(changed, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if chance.random() < 0.4:
        changed = to_bytes(changed * np.float32(chance.uniform(0.75, 1.25)) + chance.uniform(-20, 20))
    if chance.random() < 0.3:
        changed = to_bytes(255 * (np.arange(256) / 255) ** chance.uniform(0.7, 1.4))[changed]
    if chance.random() < 0.2:
        hue = cv2.cvtColor(changed, cv2.COLOR_RGB2HSV).astype(np.float32)
        hue[..., 1] *= chance.uniform(0.5, 1.4)
        hue[..., 0] = (hue[..., 0] + chance.uniform(-8, 8)) % 180
        changed = cv2.cvtColor(to_bytes(hue), cv2.COLOR_HSV2RGB)
    roll = chance.random()
    if roll < 0.1:
        changed = cv2.GaussianBlur(changed, (0, 0), chance.uniform(0.5, 1.2))
    elif roll < 0.2:
        noise = np.random.default_rng(chance.getrandbits(31)).normal(0, chance.uniform(1, 7), changed.shape)
        changed = to_bytes(changed + noise)
    if chance.random() < 0.5:
        written = cv2.imencode(".jpg", changed, [cv2.IMWRITE_JPEG_QUALITY, chance.randint(35, 95)])[1]
        changed = cv2.imdecode(written, cv2.IMREAD_COLOR)
    return changed


def to_bytes(values: NDArray[np.floating]) -> Bytes:
    return np.clip(values, 0, 255).astype(np.uint8)


def describe(network: Blocks, path: Path) -> NDArray[np.float16]:
    """Return (views, channels, height, width): the whole, then the views of each seed, as the first blocks see them."""
    image = read_image(path)
    image.thumbnail((image_kind._LONGEST,) * 2, Image.Resampling.BOX)
    numbers = [zlib.crc32(f"{seed}{path.name}".encode()) for seed in SEEDS]
    sets = [cut_views(np.asarray(image), random.Random(number)) for number in numbers]
    views = np.stack([sets[0][0], *(view for one in sets for view in one[1:])])
    with torch.inference_mode():
        return network.run_first(torch.from_numpy(views).permute(0, 3, 1, 2).float() / 127.5 - 1).half().numpy()


def weigh(packages: list[str], kinds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return a weight for each image: a package counts by the power 0.7 of its size, a kind by its share."""
    sizes = Counter(zip(packages, kinds, strict=True))
    weights = np.array([sizes[key] ** -0.3 for key in zip(packages, kinds, strict=True)])
    for kind, share in enumerate(SHARES):
        weights[kinds == kind] *= share * len(kinds) / weights[kinds == kind].sum()
    return weights


def choose_views(images: int, views: int, chance: np.random.Generator) -> NDArray[np.int64]:
    """Return (images, ``VIEWS``): the whole, and some of the other views of each image."""
    others = chance.random((images, views - 1)).argsort(axis=1)[:, : VIEWS - 1] + 1
    return np.hstack([np.zeros((images, 1), np.int64), others])


def teach(
    network: Blocks,
    features: Sequence[NDArray[np.float16]],
    kinds: NDArray[np.int64],
    weights: NDArray[np.float64],
    plan: Round,
) -> None:
    """Leave the running mean of the weights in ``network``."""
    learning = list(network.blocks[_FIRST:].parameters())
    groups = [{"params": learning, "lr": 0.4 * RATE}, {"params": network.head.parameters(), "lr": 2 * RATE}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.02)
    rates = [group["lr"] for group in optimizer.param_groups]
    chance, mean = np.random.default_rng(0), {name: value.clone() for name, value in network.state_dict().items()}
    steps = len(kinds) * VIEWS // BATCH
    network.train()
    for step in range(plan.epochs * steps):
        if step % steps == 0:
            order = chance.permutation(len(kinds) * VIEWS)
            chosen = choose_views(len(kinds), plan.views, chance)
        images, places = np.divmod(order[step % steps * BATCH :][:BATCH], VIEWS)
        batch = torch.from_numpy(
            np.stack([features[image][chosen[image, place]] for image, place in zip(images, places, strict=True)])
        )
        batch = batch.float()
        mirrored = torch.from_numpy(chance.random(BATCH) < 0.5)
        batch[mirrored] = batch[mirrored].flip(3)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * min(1, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * step / (plan.epochs * steps)))
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(batch)
        losses = F.cross_entropy(logits.float(), torch.from_numpy(kinds[images]), reduction="none", label_smoothing=0.05)
        loss = (losses * torch.from_numpy(weights[images]).float()).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        for name, value in network.state_dict().items():
            mean[name].lerp_(value, 0.01)
        if step % 100 == 99:
            print(f"{step + 1} of {plan.epochs * steps}: {loss.item():.3f}", flush=True)
    network.load_state_dict(mean)


def write(network: Blocks) -> None:
    """Store kernels in the order in which they are used, scaled for each output.

    8 bits do for kernels that learned; in 16 bits are those of single channels and the first ones, which tell smooth
    photographs from drawings: in 8 bits the share of a drawing changes by up to 0.28.
    """
    first = [network.stem, *(layer for block in network.blocks[:_FIRST] for layer in block)]
    layers = [*first, *(layer for block in network.blocks[_FIRST:] for layer in block), network.head[0], network.head[3]]
    stored = dict[str, NDArray[np.generic]]()
    for index, layer in enumerate(layers):
        kernel = layer.weight.detach().numpy().reshape(*layer.weight.shape, *(1,) * (4 - layer.weight.dim()))
        dtype = np.int16 if index < len(first) or kernel.shape[2] > 1 else np.int8
        scale = np.maximum(np.abs(kernel).max(axis=(1, 2, 3)), 1e-12).astype(np.float32) / np.iinfo(dtype).max
        stored[f"kernel{index}"] = np.round(kernel / scale[:, None, None, None]).astype(dtype)
        stored[f"scale{index}"], stored[f"bias{index}"] = scale, layer.bias.detach().numpy()
    np.savez_compressed(Path(image_kind.__file__).with_suffix(".npz"), **stored)


def main(base: str, *folders: str) -> None:
    torch.manual_seed(0)
    network = Blocks(Path(base)).eval()
    rows = [row for row in find_images(list(folders)) if row[0] in ROUNDS[-1].sets and row[3]]
    described = [describe(network, path) for *_, path in rows if path]  # once: the first blocks do not learn
    for plan in ROUNDS:
        found = [index for index, (split, *_) in enumerate(rows) if split in plan.sets]
        kinds = np.array([image_kind.KINDS.index(rows[index][1]) for index in found])
        weights = weigh([rows[index][2] for index in found], kinds)
        teach(network, [described[index] for index in found], kinds, weights, plan)
    write(network)


if __name__ == "__main__":
    main(*sys.argv[1:])
