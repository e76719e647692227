"""Networks whose convolutions are computed by Winograd's minimal filtering: SRVGG and ESRGAN."""

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Conv2d, Module, ModuleList, Sequential

from ...media import split_into_spans
from ...models import Compact
from ..torch_optim.optimize import add_before_shuffle
from ..torch_optim.patches import Patch, SingleThreadWorkers
from ..torch_optim.rrdb import RESIDUAL_SCALE, has_dense_blocks, has_nearest_tail, is_doubling
from .compile_kernel import CHANNEL_MULTIPLE
from .winograd_conv import WinogradConv, allocate_features, is_fusible, is_winograd_conv
from .winograd_transforms import OUTPUT_SIDE

_TAIL_SIDE, _TAIL_MARGIN = 96, 8
"""Pixels at the trunk's size. A layer's rounding depends on whole output tiles, so four layers at two and four times the size
reach 20 of the 32 pixels."""


def has_winograd_layers(net: Module) -> bool:
    """Whether ``net``, as spandrel loads it, is one of these networks, and nearly all of its work is in these layers."""
    if isinstance(net, Compact):
        return is_winograd_conv(net.body[2])
    if not (has_dense_blocks(net) and is_winograd_conv(cast(Any, net).model[0])):
        return False
    dense = cast(Any, net).model[1].sub[0].RDB1
    trunk, grown = dense.conv1[0].in_channels, dense.conv1[0].out_channels
    return trunk % CHANNEL_MULTIPLE == grown % CHANNEL_MULTIPLE == 0


def use_winograd(net: Module) -> None:
    """Change ``net``, which ``has_winograd_layers``, in fp32 on a CPU, in place; it keeps its weights."""
    workers, known = SingleThreadWorkers(), cast(Any, net)
    if isinstance(net, Compact):
        add_before_shuffle(net)
        known.body = ModuleList([_Layers(*_fuse(net.body, workers))])
        return
    first, trunk, *tail = known.model
    tail = _Layers(*_fuse(tail, workers))
    first = WinogradConv(first, workers)
    known.model = Sequential(first, _Trunk(trunk.sub, workers), _PatchedTail(tail) if has_nearest_tail(net) else tail)


def _fuse(layers: Iterable[Module], workers: SingleThreadWorkers) -> list[Module]:
    """Return ``layers`` with each doubling, convolution and activation that follow each other as one."""
    fused_layers, pending = list[Module](), list(layers)
    while pending:
        layer = pending.pop(0)
        doubles = is_doubling(layer) and bool(pending) and is_winograd_conv(pending[0])
        layer = pending.pop(0) if doubles else layer
        if is_winograd_conv(layer):
            activation = pending.pop(0) if pending and is_fusible(pending[0]) else None
            layer = WinogradConv(cast(Conv2d, layer), workers, activation, doubles=doubles)
        fused_layers.append(layer)
    return fused_layers


class _Layers(Sequential):
    """Layers one after the other; two results of one shape share their memory with those that follow."""

    def forward(self, input: Tensor) -> Tensor:  # as the base class names it
        features, is_input = input, True
        free: Tensor | None = None
        for layer in self:
            if isinstance(layer, WinogradConv):
                fits = free is not None and free.shape == (len(features), layer.padded_outputs, *layer.get_size(features))
                result = layer(features, out=free if fits else None)
                free, is_input = None if is_input else features, False
            else:
                result, free, is_input = layer(features), None, True
            features = result
        return features


class _Trunk(Module):
    """The residual blocks of an ESRGAN and the convolution after them, added to their input, in memory allocated once."""

    def __init__(self, layers: Sequential, workers: SingleThreadWorkers) -> None:
        super().__init__()
        *blocks, last = layers
        self.blocks = ModuleList(_ResidualBlock(block, workers) for block in blocks)
        self.last = WinogradConv(cast(Conv2d, last), workers, adds=True)
        dense = cast(Any, blocks[0]).RDB1
        self._channels = dense.conv5[0].out_channels
        self._grown = dense.conv5[0].in_channels - self._channels

    def forward(self, features: Tensor) -> Tensor:
        count, _, *size = features.shape
        grown = allocate_features(count, self._grown, *size)
        free = [allocate_features(count, self._channels, *size) for _ in range(3)]
        trunk = features
        for block in self.blocks:
            result = block(trunk, grown, free.pop(), free[-1])
            free += [] if trunk is features else [trunk]
            trunk = result
        return self.last(trunk, addend=features)


class _ResidualBlock(Module):
    """Three dense blocks, added to their input."""

    def __init__(self, block: Any, workers: SingleThreadWorkers) -> None:
        super().__init__()
        self.dense = ModuleList(_DenseBlock(one, workers) for one in (block.RDB1, block.RDB2, block.RDB3))

    def forward(self, trunk: Tensor, grown: Tensor, out: Tensor, between: Tensor) -> Tensor:
        """Return the result for ``trunk`` in ``out``; the other tensors are memory."""
        first, second, third = self.dense
        third(second(first(trunk, grown, out), grown, between), grown, out)
        return torch.add(trunk, out, alpha=RESIDUAL_SCALE, out=out)


class _DenseBlock(Module):
    """Five convolutions, added to their input; each reads that and, side by side, what those before it wrote."""

    def __init__(self, block: Any, workers: SingleThreadWorkers) -> None:
        super().__init__()
        trunk = block.conv1[0].in_channels
        self.growing = ModuleList(
            WinogradConv(convolution, workers, activation, more_channels=convolution.in_channels - trunk)
            for convolution, activation in (block.conv1, block.conv2, block.conv3, block.conv4)
        )
        (last,) = block.conv5
        self.last = WinogradConv(last, workers, more_channels=last.in_channels - trunk, adds=True)

    def forward(self, trunk: Tensor, grown: Tensor, out: Tensor) -> Tensor:
        first = 0
        for layer in self.growing:
            last = first + cast(WinogradConv, layer).outputs
            layer(trunk, grown, out=grown[:, first:last])
            first = last
        return self.last(trunk, grown, out=out, addend=trunk, share=RESIDUAL_SCALE)


class _PatchedTail(Module):
    """The layers after the last block, which have 64 channels for each of 4 or 16 pixels, patch by patch."""

    def __init__(self, layers: Sequential) -> None:
        super().__init__()
        self.layers = layers
        convolutions = [layer for layer in layers if isinstance(layer, WinogradConv)]
        self._channels = convolutions[-1].outputs
        self._scale = 2 ** sum(layer.doubles for layer in convolutions)

    def forward(self, features: Tensor) -> Tensor:
        count, _, height, width = features.shape
        shape = (count, self._channels, height * self._scale, width * self._scale)
        result = torch.empty(shape, memory_format=torch.channels_last)
        rows, columns = (
            list(split_into_spans(0, length, length, tile=_TAIL_SIDE, halo=_TAIL_MARGIN, align=OUTPUT_SIDE))
            for length in (height, width)
        )
        for patch in (Patch(down, across) for down in rows for across in columns):
            output = self.layers(patch.view_padded(features))
            patch.view_core(result, self._scale)[:] = patch.crop_to_core(output, self._scale)
        return result
