"""Convolutions fused with the layers beside them on a CPU.

A LeakyReLU after a convolution is applied by oneDNN while a value is still in a register; torch exposes this only as the
operator that its own compiler uses. Saves a tenth of the time of an ESRGAN dense block in bf16; the numbers are the same except
for the rounding between the two steps, which is omitted.

A nearest-neighbour doubling before a 3x3 convolution makes it read each pixel several times: four 2x2 convolutions compute the
same from the smaller image with 16 products for every 36.
"""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor
from torch.nn import Conv2d, LeakyReLU, Module, ModuleList, Parameter, Sequential, Upsample


class ConvLeakyReLU(Module):
    """One convolution and its LeakyReLU; in two steps on other devices than a CPU, in fp16, or without oneDNN."""

    def __init__(self, convolution: Conv2d, activation: LeakyReLU) -> None:
        super().__init__()
        self.convolution, self.activation = convolution, activation

    def forward(self, features: Tensor) -> Tensor:
        one = self.convolution
        is_fusible = features.device.type == "cpu" and features.dtype is not torch.float16
        if not (is_fusible and torch.backends.mkldnn.is_available()):
            return self.activation(one(features))
        slope = [self.activation.negative_slope]
        return torch.ops.mkldnn._convolution_pointwise(
            features, one.weight, one.bias, one.padding, one.stride, one.dilation, one.groups, "leaky_relu", slope, ""
        )


class DoublingConv(Module):
    """Nearest-neighbour doubling and a 3x3 convolution padded by one pixel, as one 2x2 convolution for each output phase.

    Weights of taps that read the same pixel are added, in their own dtype, so sums are rounded in another order.
    """

    def __init__(self, convolution: Conv2d) -> None:
        super().__init__()
        self._channels = convolution.out_channels
        weight = convolution.weight.detach()
        above, both, below = weight[:, :, :1], weight[:, :, 1:2], weight[:, :, 2:]
        rows = torch.cat((above, both + below), 2), torch.cat((above + both, below), 2)
        self.phases = ModuleList()
        for one in rows:
            left, middle, right = one[..., :1], one[..., 1:2], one[..., 2:]
            for taps in torch.cat((left, middle + right), 3), torch.cat((left + middle, right), 3):
                phase = Conv2d(
                    convolution.in_channels, convolution.out_channels, 2, padding=1, bias=convolution.bias is not None
                )
                phase.weight = Parameter(taps.contiguous(memory_format=torch.channels_last), requires_grad=False)
                phase.bias = convolution.bias
                self.phases.append(phase)

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, out, 2H, 2W) of ``features`` (N, in, H, W)."""
        count, _, height, width = features.shape
        shape, layout = (count, self._channels, 2 * height, 2 * width), torch.channels_last
        result = torch.empty(shape, dtype=features.dtype, device=features.device, memory_format=layout)
        for index, phase in enumerate(self.phases):
            row, column = divmod(index, 2)
            result[:, :, row::2, column::2] = phase(features)[:, :, row : row + height, column : column + width]
        return result


def fuse_activations(layers: Iterable[Module]) -> Sequential:
    """Return ``layers`` as a sequence in which each pair of a zero-padded convolution and a LeakyReLU is fused."""
    fused_layers: list[Module] = []
    for layer in layers:
        if isinstance(layer, LeakyReLU) and fused_layers and _is_fusible(fused_layers[-1]):
            fused_layers[-1] = ConvLeakyReLU(fused_layers[-1], layer)  # type: ignore[arg-type]
        else:
            fused_layers.append(layer)
    return Sequential(*fused_layers)


def fuse_doublings(layers: Iterable[Module]) -> Sequential:
    """Return ``layers`` as a sequence in which nearest doubling, a zero-padded 3x3 convolution and any LeakyReLU are one."""
    fused_layers: list[Module] = []
    for layer in layers:
        last = fused_layers[-1] if fused_layers else None
        if isinstance(last, Upsample) and _is_fusible(layer):
            fused_layers[-1] = DoublingConv(cast(Conv2d, layer))
        elif isinstance(last, DoublingConv) and isinstance(layer, LeakyReLU):
            last.phases = ModuleList([ConvLeakyReLU(cast(Conv2d, phase), layer) for phase in last.phases])
        else:
            fused_layers.append(layer)
    return Sequential(*fused_layers)


def _is_fusible(layer: Module) -> bool:
    return type(layer) is Conv2d and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
