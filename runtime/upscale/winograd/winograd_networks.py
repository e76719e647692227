"""Networks whose convolutions are computed by Winograd's minimal filtering: SRVGG and ESRGAN."""

from collections.abc import Iterable, Sequence
from math import prod
from types import MethodType
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Conv2d, Module, ModuleList, Sequential

from ...media import split_into_spans
from ...models import Compact
from ..torch_optim.patches import Patch
from ..torch_optim.rrdb import RESIDUAL_SCALE, has_dense_blocks, has_nearest_tail, is_doubling
from .compile_kernel import CHANNEL_MULTIPLE
from .winograd_conv import WinogradConv, is_fusible, is_winograd_conv
from .winograd_program import NetworkResources, Program
from .winograd_transforms import OUTPUT_SIDE

_TAIL_SIDE, _TAIL_MARGIN = 96, 8
"""Pixels at the trunk's size. A layer's rounding depends on whole output tiles, so four layers at two and four times the size
reach 20 of the 32 pixels."""

_GROUPED = 4
"""Layers between two reports of progress."""


def has_winograd_layers(net: Module) -> bool:
    """Whether ``net``, as spandrel loads it, is one of these networks, and nearly all of its work is in these layers."""
    if isinstance(net, Compact):
        return is_winograd_conv(net.body[2]) and net.num_in_ch == net.num_out_ch
    if not (has_dense_blocks(net) and is_winograd_conv(cast(Any, net).model[0], of_image=True)):
        return False
    dense = cast(Any, net).model[1].sub[0].RDB1
    trunk, grown = dense.conv1[0].in_channels, dense.conv1[0].out_channels
    return trunk % CHANNEL_MULTIPLE == grown % CHANNEL_MULTIPLE == 0


def use_winograd(net: Module) -> NetworkResources:
    """Change ``net``, which ``has_winograd_layers``, in fp32 on a CPU, in place; it keeps its weights. Return what it uses."""
    resources, known = NetworkResources(), cast(Any, net)
    if isinstance(net, Compact):
        known.body = ModuleList([_Layers(net.body, resources)])
        known.forward = MethodType(_run_compact, net)
        return resources
    first, trunk, *tail = known.model
    layers = _Layers(tail, resources)
    tail = _PatchedTail(layers, resources) if has_nearest_tail(net) else layers
    known.model = Sequential(_Layers([first], resources), _Trunk(trunk.sub, resources), tail)
    return resources


def _fuse(layers: Iterable[Module]) -> list[Module]:
    """Return ``layers`` with each doubling, convolution and activation that follow each other as one."""
    fused_layers, pending = list[Module](), list(layers)
    while pending:
        layer = pending.pop(0)
        doubles = is_doubling(layer) and bool(pending) and is_winograd_conv(pending[0])
        layer = pending.pop(0) if doubles else layer
        if is_winograd_conv(layer, of_image=not fused_layers):
            activation = pending.pop(0) if pending and is_fusible(pending[0]) else None
            layer = WinogradConv(cast(Conv2d, layer), activation, doubles=doubles)
        fused_layers.append(layer)
    return fused_layers


class _Layers(Module):
    """Layers one after the other, a few at a time, so that progress is known; two results of one shape share their memory."""

    def __init__(self, layers: Iterable[Module], resources: NetworkResources) -> None:
        super().__init__()
        fused_layers = _fuse(layers)
        groups = [fused_layers[first : first + _GROUPED] for first in range(0, len(fused_layers), _GROUPED)]
        self.groups = ModuleList(_Group(group, resources) for group in groups)

    def forward(self, features: Tensor) -> Tensor:
        return self.run(features)[0]

    def run(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the result, and memory of a layer before that is free then."""
        free: Tensor | None = None
        is_input = True
        for group in self.groups:
            features, free, is_input = group(features, free, is_input)
        return features, free


def _run_compact(net: Compact, image: Tensor) -> Tensor:
    """The network with its input added before the pixel shuffle, as ``add_before_shuffle`` does; into memory of a layer."""
    (layers,) = cast("list[_Layers]", list(net.body))
    features, free = layers.run(image)
    channels, scale = int(net.num_out_ch), int(net.upscale)
    count, _, height, width = features.shape
    phases: Tensor = cast(Any, features).unflatten(1, (channels, scale, scale))
    phases.add_(image[:, :, None, None])
    shape = count, height, scale, width, scale, channels
    if free is None or free.untyped_storage().nbytes() < prod(shape) * free.element_size():
        free = torch.empty(prod(shape))
    shuffled = free.as_strided((prod(shape),), (1,), 0).view(shape)
    shuffled.permute(0, 5, 2, 4, 1, 3).copy_(phases)
    return shuffled.view(count, height * scale, width * scale, channels).permute(0, 3, 1, 2)


class _Group(Module):
    def __init__(self, layers: Iterable[Module], resources: NetworkResources) -> None:
        super().__init__()
        self.layers = ModuleList(layers)
        self._resources = resources

    def forward(self, features: Tensor, free: Tensor | None, is_input: bool) -> tuple[Tensor, Tensor | None, bool]:
        """Return the result, memory that is free then, and whether the result is memory of another layer."""
        program = Program(self._resources)
        for layer in self.layers:
            if isinstance(layer, WinogradConv):
                result = layer(
                    program, features, out=_reuse(free, len(features), layer.padded_outputs, *layer.get_size(features))
                )
                free, is_input = None if is_input else features, False
            else:
                program.run()
                result, free, is_input = layer(features), None, True
            features = result
        program.run()
        return features, free, is_input


def _reuse(free: Tensor | None, count: int, channels: int, height: int, width: int) -> Tensor | None:
    """Return as many channels of memory that is free, if it is of that size."""
    if free is None or (len(free), *free.shape[2:]) != (count, height, width) or free.shape[1] < channels:
        return None
    return free[:, :channels]


class _Trunk(Module):
    """The residual blocks of an ESRGAN and the convolution after them, added to their input, in memory allocated once."""

    def __init__(self, layers: Sequential, resources: NetworkResources) -> None:
        super().__init__()
        *blocks, last = layers
        self.blocks = ModuleList(_ResidualBlock(block, resources) for block in blocks)
        self.last = WinogradConv(cast(Conv2d, last), addends=1)
        self._resources = resources
        dense = cast(Any, blocks[0]).RDB1
        self._channels = dense.conv5[0].out_channels
        self._grown = dense.conv5[0].in_channels - self._channels

    def forward(self, features: Tensor) -> Tensor:
        count, _, *size = features.shape
        grown = self._resources.memory.allocate(count, self._grown, *size)
        free = [self._resources.memory.allocate(count, self._channels, *size) for _ in range(3)]
        trunk = features
        for block in self.blocks:
            result = block(trunk, grown, free.pop(), free[-1])
            free += [] if trunk is features else [trunk]
            trunk = result
        program = Program(self._resources)
        result = self.last(program, trunk, out=free.pop(), addends=[features])
        program.run()
        return result


class _ResidualBlock(Module):
    """Three dense blocks, added to their input."""

    def __init__(self, block: Any, resources: NetworkResources) -> None:
        super().__init__()
        self.dense = ModuleList(
            _DenseBlock(dense, addends) for dense, addends in ((block.RDB1, 1), (block.RDB2, 1), (block.RDB3, 2))
        )
        self._resources = resources

    def forward(self, trunk: Tensor, grown: Tensor, out: Tensor, between: Tensor) -> Tensor:
        """Return the result for ``trunk`` in ``out``; the other tensors are memory."""
        first, second, third = self.dense
        program = Program(self._resources)
        first(program, trunk, grown, out)
        second(program, out, grown, between)
        third(program, between, grown, out, [trunk])
        program.run()
        return out


class _DenseBlock(Module):
    """Five convolutions, added to their input; each reads that and, side by side, what those before it wrote."""

    def __init__(self, block: Any, addends: int) -> None:
        super().__init__()
        trunk = block.conv1[0].in_channels
        self.growing = ModuleList(
            WinogradConv(convolution, activation, more_channels=convolution.in_channels - trunk)
            for convolution, activation in (block.conv1, block.conv2, block.conv3, block.conv4)
        )
        (last,) = block.conv5
        self.last = WinogradConv(last, more_channels=last.in_channels - trunk, addends=addends)

    def forward(self, program: Program, trunk: Tensor, grown: Tensor, out: Tensor, addends: Sequence[Tensor] = ()) -> None:
        first = 0
        for layer in self.growing:
            last = first + cast(WinogradConv, layer).outputs
            layer(program, trunk, grown, out=grown[:, first:last])
            first = last
        self.last(program, trunk, grown, out=out, addends=[trunk, *addends], share=RESIDUAL_SCALE)


class _PatchedTail(Module):
    """The layers after the last block, which have 64 channels for each of 4 or 16 pixels, patch by patch."""

    def __init__(self, layers: _Layers, resources: NetworkResources) -> None:
        super().__init__()
        self.layers = layers
        self._resources = resources
        convolutions = [layer for layer in layers.modules() if isinstance(layer, WinogradConv)]
        self._channels = convolutions[-1].outputs
        self._scale = 2 ** sum(layer.doubles for layer in convolutions)

    def forward(self, features: Tensor) -> Tensor:
        count, _, height, width = features.shape
        result = self._resources.memory.allocate(count, self._channels, height * self._scale, width * self._scale)
        rows, columns = (
            list(split_into_spans(0, length, length, tile=_TAIL_SIDE, halo=_TAIL_MARGIN, align=OUTPUT_SIDE))
            for length in (height, width)
        )
        for patch in (Patch(down, across) for down in rows for across in columns):
            output = self.layers(patch.view_padded(features))
            patch.view_core(result, self._scale)[:] = patch.crop_to_core(output, self._scale)
        return result
