"""ESRGAN's dense blocks and last layers, computed patch by patch with the same result.

A dense block has three times as many channels at its end, each of its convolutions reads all of them, and on a whole tile
nothing stays in the CPU's cache. It sees five pixels far, so patches with a margin of five take a patch's memory instead of a
tile's, tiles are larger and fewer pixels are halo. RRDB-23 on two cores with AMX: 640x480 took 15.6 s in bf16 at once and 9.3
to 9.7 s in patches, margins included; 320x240 in fp32 11.5 and 10.9 s.

After the second doubling there are 64 channels for each of 16 pixels: four fifths of a tile's memory for an eighth of the work.
Those layers see two pixels far, so a patch needs a margin of two.
"""

from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor

from ...hardware import query_cpu
from ...models import ESRGAN
from .fused_conv import ConvLeakyReLU, DoublingConv, fuse_activations, fuse_doublings
from .patches import Patch, PlacedFeatures, SingleThreadWorkers, Surroundings, split_into_patches

_DENSE_MARGIN = 5
"""Pixels that a dense block sees to each side: five convolutions of 3x3."""
_DENSE_PATCH_SIDE, _DENSE_PATCH_SIDE_BF16, _DENSE_PATCH_SIDE_AMX = 160, 140, 120
"""Pixels at most; fewer where there would be less than one patch for each thread.

With AMX a patch in bf16 has to be small, because reading from memory counts more than the margins. On an EPYC with
AVX-512 BF16, where products take longer, 256x256 takes 5 to 9 % less time with 140 than with 120.
"""
RESIDUAL_SCALE = 0.2
"""ESRGAN's residual scaling: this fraction of a block's output is added to its input."""


def replace_dense_blocks(net: torch.nn.Module, workers: SingleThreadWorkers | None) -> None:
    """Change ``net``, which ``has_dense_blocks``, in place; it keeps the same weights, in any dtype.

    Without ``workers`` blocks are computed at once, which is best on a GPU.
    """
    *blocks, _ = cast(Any, net).model[1].sub
    for index, block in enumerate(blocks):
        cast(Any, net).model[1].sub[index] = _ResidualBlock(block, workers)


def has_dense_blocks(net: torch.nn.Module) -> bool:
    """Whether ``net``, as spandrel loads it, is an ESRGAN of 3x3 convolutions without the additions of ESRGAN+ and norms."""
    if not isinstance(net, ESRGAN):
        return False
    *blocks, _ = cast(Any, net).model[1].sub
    return all(_is_plain_block(dense) for block in blocks for dense in (block.RDB1, block.RDB2, block.RDB3))


def _is_plain_block(dense: Any) -> bool:
    growing = [dense.conv1, dense.conv2, dense.conv3, dense.conv4]
    pairs = all(len(one) == 2 and isinstance(one[1], torch.nn.LeakyReLU) for one in growing)
    narrow = all(_is_3x3(one[0]) for one in (*growing, dense.conv5))
    return dense.conv1x1 is None and pairs and narrow and len(dense.conv5) == 1


def _is_3x3(layer: Any) -> bool:
    return isinstance(layer, torch.nn.Conv2d) and layer.kernel_size == (3, 3) and layer.padding == (1, 1)


class _ResidualBlock(torch.nn.Module):
    """Three dense blocks, added to their input."""

    def __init__(self, block: Any, workers: SingleThreadWorkers | None) -> None:
        super().__init__()
        self.dense = torch.nn.Sequential(*(_DenseBlock(one, workers) for one in (block.RDB1, block.RDB2, block.RDB3)))

    def forward(self, trunk: Tensor) -> Tensor:
        output = self.dense(trunk)
        return torch.add(trunk, output, alpha=RESIDUAL_SCALE, out=output)


class _DenseBlock(torch.nn.Module):
    """Five convolutions in the dtype of their weights, added to their input in its own dtype."""

    def __init__(self, block: Any, workers: SingleThreadWorkers | None) -> None:
        super().__init__()
        self._workers = workers
        self.growing = torch.nn.ModuleList(
            [ConvLeakyReLU(*one) for one in (block.conv1, block.conv2, block.conv3, block.conv4)]
        )
        (self.last,) = block.conv5
        if workers is not None:
            for convolution in (*(cast(ConvLeakyReLU, one).convolution for one in self.growing), self.last):
                convolution.padding = (0, 0)  # what is outside the image is zero in what it reads

    def forward(self, trunk: Tensor) -> Tensor:
        if self._workers is None:
            return trunk.add(self._compute_whole(trunk), alpha=RESIDUAL_SCALE)
        largest = _choose_patch_side(self.last.weight.dtype)
        height, width = trunk.shape[2:]
        result = torch.empty_like(trunk)

        def compute_patch(patch: Patch) -> None:
            output = self._compute_core(trunk, patch)
            torch.add(patch.view_core(trunk), output, alpha=RESIDUAL_SCALE, out=patch.view_core(result))

        self._workers.run_each(
            compute_patch, split_into_patches(height, width, side=largest, margin=_DENSE_MARGIN, threads=self._workers.size)
        )
        return result

    def _compute_whole(self, trunk: Tensor) -> Tensor:
        features = trunk.to(self.last.weight.dtype, memory_format=torch.channels_last)
        for grow in self.growing:
            features = torch.cat((features, grow(features)), 1)
        return self.last(features)

    def _compute_core(self, trunk: Tensor, patch: Patch) -> Tensor:
        """Compute each layer only where those after it read it.

        The last convolutions do most of the work and need the least margin. A patch of 85 pixels takes 14 % less time than with
        the margin of five in every layer, one of 120 pixels 9 %; the bits are the same.
        """
        layers = [*self.growing, self.last]
        parts = [PlacedFeatures(trunk, 0, 0)]
        for margin, layer in zip(range(len(layers), 0, -1), layers, strict=True):
            seen = Surroundings.of_patch(patch, margin, *trunk.shape[2:])
            features = seen.collect(parts, self.last.weight.dtype)
            top, left = seen.rows.start, seen.columns.start
            parts = [PlacedFeatures(features, top, left), PlacedFeatures(layer(features), top + 1, left + 1)]
        return parts[-1].features


@lru_cache
def _choose_patch_side(dtype: torch.dtype) -> int:
    if dtype is not torch.bfloat16:
        return _DENSE_PATCH_SIDE
    return _DENSE_PATCH_SIDE_AMX if "AMX" in query_cpu().sets else _DENSE_PATCH_SIDE_BF16


_TAIL_MARGIN = 2
"""Input pixels that the tail sees to each side: one at twice the size and three at four times, 1.25 together, rounded up."""
_TAIL_PATCH_SIDE = 64
"""Pixels at most, at the trunk's size."""
_TAIL_LAYER_TYPES = (torch.nn.Conv2d, torch.nn.Upsample, torch.nn.LeakyReLU, torch.nn.ReLU)


def replace_doublings(net: torch.nn.Module) -> None:
    """Change ``net``, in fp32, which ``has_nearest_tail``, in place: each doubling and its convolution become one layer."""
    first, trunk, *tail = cast(torch.nn.Sequential, net.model)
    net.model = torch.nn.Sequential(first, trunk, *fuse_doublings(tail))


def replace_tail(net: torch.nn.Module, workers: SingleThreadWorkers) -> None:
    """Change ``net``, which ``has_nearest_tail`` before its layers are wrapped for bf16, in place; in any dtype."""
    first, trunk, *tail = cast(torch.nn.Sequential, net.model)
    net.model = torch.nn.Sequential(first, trunk, _PatchedTail(fuse_activations(tail), workers))


def has_nearest_tail(net: torch.nn.Module) -> bool:
    """Whether ``net``, as spandrel loads it, is an ESRGAN with one or two nearest doublings between 3x3 convolutions."""
    if not isinstance(net, ESRGAN):
        return False
    _, _, *tail = cast(torch.nn.Sequential, net.model)
    is_3x3 = all(one.kernel_size == (3, 3) for one in tail if isinstance(one, torch.nn.Conv2d))
    doublings = [is_doubling(one) for one in tail if isinstance(one, torch.nn.Upsample)]
    return is_3x3 and 1 <= len(doublings) <= 2 and all(doublings) and all(isinstance(one, _TAIL_LAYER_TYPES) for one in tail)


def is_doubling(layer: torch.nn.Module) -> bool:
    """Whether ``layer`` repeats each pixel twice in both directions."""
    return isinstance(layer, torch.nn.Upsample) and layer.scale_factor in (2, 2.0) and layer.mode == "nearest"


class _PatchedTail(torch.nn.Module):
    def __init__(self, layers: torch.nn.Sequential, workers: SingleThreadWorkers) -> None:
        super().__init__()
        self.layers = layers
        self._workers = workers
        *_, last = (one for one in layers.modules() if isinstance(one, torch.nn.Conv2d))
        self._channels, self._dtype = last.out_channels, last.weight.dtype
        self._scale = 2 ** sum(isinstance(one, (torch.nn.Upsample, DoublingConv)) for one in layers.modules())

    def forward(self, features: Tensor) -> Tensor:
        count, _, height, width = features.shape
        shape = (count, self._channels, height * self._scale, width * self._scale)
        result = torch.empty(shape, dtype=self._dtype, memory_format=torch.channels_last)

        def compute_patch(patch: Patch) -> None:
            patch.view_core(result, self._scale)[:] = patch.crop_to_core(self.layers(patch.view_padded(features)), self._scale)

        self._workers.run_each(
            compute_patch,
            split_into_patches(height, width, side=_TAIL_PATCH_SIDE, margin=_TAIL_MARGIN, threads=self._workers.size),
        )
        return result
