"""A 3x3 convolution by Winograd's minimal filtering, as a layer of torch."""

from math import ceil
from threading import local

import torch
from torch import Tensor
from torch.nn import Conv2d, LeakyReLU, Module, Parameter, PReLU, ReLU
from torch.nn.functional import pad

from ..torch_optim.patches import SingleThreadWorkers
from .compile_kernel import CHANNEL_MULTIPLE, choose_blocking, compile_kernel
from .winograd_kernel import Arguments, KernelShape
from .winograd_transforms import OUTPUT_SIDE

_LINE = 16
"""Floats in a line of the cache, at which scratch memory begins."""
_scratch = local()


class WinogradConv(Module):
    """A convolution, padded by one pixel of zeros, and the activation after it; in fp32 on a CPU.

    The last ``more_channels`` of its input are in a second tensor. With ``doubles`` the input is enlarged twice by repeating
    pixels, and with ``adds`` the result is added to another tensor. The layers of one network share ``workers``.
    """

    def __init__(
        self,
        convolution: Conv2d,
        workers: SingleThreadWorkers,
        activation: Module | None = None,
        *,
        more_channels: int = 0,
        doubles: bool = False,
        adds: bool = False,
    ) -> None:
        super().__init__()
        self._workers, self.doubles = workers, doubles
        self.outputs = convolution.out_channels
        padding = -self.outputs % CHANNEL_MULTIPLE
        self.padded_outputs = self.outputs + padding
        blocking = choose_blocking(self.padded_outputs)
        self._missing_channels = -convolution.in_channels % CHANNEL_MULTIPLE
        channels = convolution.in_channels + self._missing_channels - more_channels
        self._kernel = compile_kernel(KernelShape(channels, more_channels, self.padded_outputs, doubles, adds, blocking))
        weight = pad(convolution.weight.detach().permute(2, 3, 1, 0), (0, padding, 0, self._missing_channels))
        self.weight = Parameter(weight.contiguous(), requires_grad=False)
        bias = torch.zeros(self.outputs) if convolution.bias is None else convolution.bias.detach()
        self._bias, self._slopes = (pad(one, (0, padding)) for one in (bias, _get_slopes(activation, self.outputs)))

    def forward(
        self,
        features: Tensor,
        more: Tensor | None = None,
        *,
        out: Tensor | None = None,
        addend: Tensor | None = None,
        share: float = 1.0,
    ) -> Tensor:
        """Return (N, outputs, H, W) of ``features`` and ``more`` (N, C, H, W), which are read one after the other.

        The result is in ``out`` if given; with ``addend`` it is that plus ``share`` of the result. Both are memory of
        ``allocate_features``, or some channels of it.
        """
        count, (height, width) = len(features), self.get_size(features)
        out = allocate_features(count, self.padded_outputs, height, width) if out is None else out
        features = pad(features, (0, 0, 0, 0, 0, self._missing_channels)) if self._missing_channels else features
        tensors = features, features if more is None else more, out, out if addend is None else addend
        planes = [_put_channels_last(one) for one in tensors]
        for index in range(count):
            self._compute_image([one[index] for one in planes], height, width, share)
        return out[:, : self.outputs]

    def get_size(self, features: Tensor) -> tuple[int, int]:
        """Return height and width of the result for ``features``."""
        height, width = features.shape[2:]
        return (2 * height, 2 * width) if self.doubles else (height, width)

    def _compute_image(self, planes: list[Tensor], height: int, width: int, share: float) -> None:
        features, more, out, addend = ((one.data_ptr(), one.stride(0), one.stride(1)) for one in planes)
        columns = ceil(width / OUTPUT_SIDE)
        stored_share, begun = torch.tensor([share], dtype=torch.float32), torch.zeros(1, dtype=torch.int64)
        numbers = height, width, columns, columns * ceil(height / OUTPUT_SIDE), begun.data_ptr()
        kernels = torch.empty(self._kernel.shape.kernels)  # four times the weights, so they do not stay
        constants = [one.data_ptr() for one in (self.weight, kernels, self._bias, self._slopes)]

        def make_arguments(*scratch: int) -> Arguments:
            return Arguments(*features, *more, *numbers, *constants, *out, *addend, stored_share.data_ptr(), *scratch)

        def compute_some(_: int) -> None:
            self._kernel.convolve(make_arguments(*_get_scratch(self._kernel.shape.scratch)))

        self._kernel.prepare(make_arguments())
        self._workers.run_each(compute_some, range(self._workers.size))


def is_winograd_conv(layer: Module) -> bool:
    """Whether ``layer`` is a convolution that ``WinogradConv`` computes; of others than the first one, without a copy."""
    if type(layer) is not Conv2d or layer.kernel_size != (3, 3) or layer.padding != (1, 1) or layer.padding_mode != "zeros":
        return False
    is_plain = layer.stride == layer.dilation == (1, 1) and layer.groups == 1
    return is_plain and (layer.in_channels < CHANNEL_MULTIPLE or layer.in_channels % CHANNEL_MULTIPLE == 0)


def is_fusible(activation: Module) -> bool:
    """Whether ``activation`` does nothing but multiply negative values by a number, which each channel may have its own of."""
    return isinstance(activation, (LeakyReLU, PReLU, ReLU))


def allocate_features(count: int, channels: int, height: int, width: int) -> Tensor:
    """Return uninitialized memory for (N, C, H, W), each pixel's channels together, in which whole output tiles fit."""
    rows, columns = (ceil(length / OUTPUT_SIDE) * OUTPUT_SIDE for length in (height, width))
    return torch.empty((count, rows, columns, channels)).permute(0, 3, 1, 2)[:, :, :height, :width]


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


def _get_scratch(sizes: tuple[int, ...]) -> list[int]:
    """Return the addresses of memory of this thread, one for each size in floats."""
    rounded_sizes = [ceil(size / _LINE) * _LINE for size in sizes]
    memory: Tensor | None = getattr(_scratch, "memory", None)
    if memory is None or memory.numel() < sum(rounded_sizes) + _LINE:
        memory = _scratch.memory = torch.empty(sum(rounded_sizes) + _LINE)
    first = ceil(memory.data_ptr() / (_LINE * 4)) * _LINE * 4
    return [first + 4 * sum(rounded_sizes[:index]) for index in range(len(sizes))]
