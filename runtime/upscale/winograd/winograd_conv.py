"""A 3x3 convolution by Winograd's minimal filtering, as a layer of torch."""

from collections.abc import Sequence
from math import ceil

import torch
from torch import Tensor
from torch.nn import Conv2d, LeakyReLU, Module, Parameter, PReLU, ReLU
from torch.nn.functional import pad

from .compile_kernel import CHANNEL_MULTIPLE, choose_blocking, compile_kernel
from .winograd_kernel import KernelShape
from .winograd_program import Program
from .winograd_transforms import OUTPUT_SIDE


class WinogradConv(Module):
    """A convolution, padded by one pixel of zeros, and the activation after it; in fp32 on a CPU.

    The last ``more_channels`` of its input are in a second tensor. With ``doubles`` the input is enlarged twice by repeating
    pixels. A share of the result may be added to ``addends`` tensors.
    """

    def __init__(
        self,
        convolution: Conv2d,
        activation: Module | None = None,
        *,
        more_channels: int = 0,
        doubles: bool = False,
        addends: int = 0,
    ) -> None:
        super().__init__()
        self.doubles = doubles
        self.outputs = convolution.out_channels
        padding = -self.outputs % CHANNEL_MULTIPLE
        self.padded_outputs = self.outputs + padding
        self._missing_channels = -convolution.in_channels % CHANNEL_MULTIPLE
        self._channels = channels = convolution.in_channels + self._missing_channels - more_channels
        blocking = choose_blocking(self.padded_outputs)
        self._kernel = compile_kernel(KernelShape(channels, more_channels, self.padded_outputs, doubles, addends, blocking))
        weight = pad(convolution.weight.detach().permute(2, 3, 1, 0), (0, padding, 0, self._missing_channels))
        self.weight = Parameter(weight.contiguous(), requires_grad=False)
        bias = torch.zeros(self.outputs) if convolution.bias is None else convolution.bias.detach()
        self._bias, self._slopes = (pad(one, (0, padding)) for one in (bias, _get_slopes(activation, self.outputs)))

    def forward(
        self,
        program: Program,
        features: Tensor,
        more: Tensor | None = None,
        *,
        out: Tensor | None = None,
        addends: Sequence[Tensor] = (),
        share: float = 1.0,
    ) -> Tensor:
        """Append this layer to ``program``, and return its result (N, outputs, H, W), which ``program.run`` will compute.

        ``features`` and ``more`` (N, C, H, W) are read one after the other. The result is in ``out`` if given. With
        ``addends`` it is the first one plus ``share`` of it, and then the second one plus ``share`` of that. ``out`` and
        addends are ``FeatureMemory``, or some channels of it.
        """
        count, (height, width), memory = len(features), self.get_size(features), program.resources.memory
        out = memory.allocate(count, self.padded_outputs, height, width) if out is None else out
        if self._missing_channels:  # of an image, which is there already; what a program computes has all its channels
            image, features = features, memory.allocate(count, self._channels, *features.shape[2:])
            features[:, : image.shape[1]] = image
            features[:, image.shape[1] :] = 0
        names = "source", "more", "target", "addend", "last_addend"
        tensors = [features, features if more is None else more, out, *addends]
        planes = {name: _put_channels_last(one) for name, one in zip(names, tensors, strict=False)}
        columns, stored_share = ceil(width / OUTPUT_SIDE), torch.tensor([share], dtype=torch.float32)
        constants = {"weights": self.weight, "bias": self._bias, "slopes": self._slopes, "share": stored_share}
        for index in range(count):
            addresses = {name: one.data_ptr() for name, one in constants.items()}
            for name, plane in planes.items():
                addresses |= {name: plane[index].data_ptr(), f"{name}_row": plane.stride(1), f"{name}_pixel": plane.stride(2)}
            size = {"height": height, "width": width, "columns": columns, "count": columns * ceil(height / OUTPUT_SIDE)}
            program.append(self._kernel, [*planes.values(), *constants.values()], **addresses, **size)
        return out[:, : self.outputs]

    def get_size(self, features: Tensor) -> tuple[int, int]:
        """Return height and width of the result for ``features``."""
        height, width = features.shape[2:]
        return (2 * height, 2 * width) if self.doubles else (height, width)


def is_winograd_conv(layer: Module, *, of_image: bool = False) -> bool:
    """Whether ``layer`` is a convolution that ``WinogradConv`` computes: of features, or of an image with fewer channels."""
    if type(layer) is not Conv2d or layer.kernel_size != (3, 3) or layer.padding != (1, 1) or layer.padding_mode != "zeros":
        return False
    is_plain = layer.stride == layer.dilation == (1, 1) and layer.groups == 1
    return is_plain and (layer.in_channels % CHANNEL_MULTIPLE == 0 or (of_image and layer.in_channels < CHANNEL_MULTIPLE))


def is_fusible(activation: Module) -> bool:
    """Whether ``activation`` does nothing but multiply negative values by a number, which each channel may have its own of."""
    return isinstance(activation, (LeakyReLU, PReLU, ReLU))


def _put_channels_last(features: Tensor) -> Tensor:
    """Return ``features`` (N, C, H, W) as (N, H, W, C) with each pixel's channels together; copied only if they are not."""
    pixels = features.permute(0, 2, 3, 1)
    return pixels if pixels.stride(3) == 1 else pixels.contiguous()


def _get_slopes(activation: Module | None, channels: int) -> Tensor:
    if isinstance(activation, PReLU):
        return activation.weight.detach().expand(channels).contiguous()
    if isinstance(activation, LeakyReLU):
        return torch.full((channels,), activation.negative_slope)
    return torch.zeros(channels) if activation else torch.ones(channels)
