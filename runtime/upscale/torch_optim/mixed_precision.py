"""A network in bf16 or fp16 that keeps fp32 where its few bits show: at both ends, and in the sums of bf16.

With the few steps that bf16 has between 0.5 and 1, an image rounded to it shows bands, and a trunk whose many sums are each
rounded drifts. The convolutions between, which are nearly all of the work, tolerate it. Against fp32, on six 48 px crops of
photographs and drawings: Real-ESRGAN x4plus 50.7 to 56.7 dB all in bf16, 56.8 to 60.7 dB so; animevideov3, on eight of 64 px,
54.0 to 64.8 and 56.0 to 68.9 dB; in the same time.

Between 0.5 and 1 fp16 has 1024 steps, and an image of 16 bits 32 768. With the first and the last convolution in fp32 they come
through: 64x64 pixels of a photograph have 30 425 of these values with animevideov3 and 30 742 with x4plus; in fp32 30 446 and
30 754; against that they reach 86 and 75 dB.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import torch

from ...models import ESRGAN, Compact
from .fused_conv import DoublingConv, fuse_activations
from .patches import SingleThreadWorkers, split_into_patches
from .rrdb import has_dense_blocks, replace_dense_blocks

_TAIL_LAYER_TYPES = (
    torch.nn.Conv2d,
    DoublingConv,
    torch.nn.Upsample,
    torch.nn.PixelShuffle,
    torch.nn.LeakyReLU,
    torch.nn.ReLU,
    torch.nn.PReLU,
)


def convert_to_bfloat16(net: torch.nn.Module, workers: SingleThreadWorkers | None = None) -> torch.dtype:
    """Convert ``net`` to bf16 in place, and return its input dtype: fp32 if its ends were kept in that.

    ``workers`` compute the dense blocks of an ESRGAN on a CPU.
    """
    keeps_fp32_ends = isinstance(net, Compact) or (isinstance(net, ESRGAN) and _is_plain_esrgan(net))
    if not keeps_fp32_ends:
        net.to(torch.bfloat16)
        return torch.bfloat16
    layers: Any = net
    if isinstance(net, Compact):
        first, *body, last = layers.body
        body = [one.to(torch.bfloat16) for one in body]
        ends = _CastLayer(first, torch.float32, torch.bfloat16), _CastLayer(last, torch.bfloat16, torch.float32)
        layers.body = torch.nn.ModuleList([ends[0], *body, ends[1]])
    else:
        replace_dense_blocks(net, workers)
        layers.model = _convert_rrdb(cast(torch.nn.Sequential, layers.model))
    return torch.float32


def convert_to_float16(net: torch.nn.Module) -> torch.dtype:
    """Convert ``net``, in fp32, to fp16 in place, and return its input dtype: fp32 if its ends were kept in that."""
    known: Any = net
    layers: Any = known.body if isinstance(net, Compact) else known.model if isinstance(net, ESRGAN) else None
    if layers is None or not all(_is_plain_conv(layers[index]) for index in (0, -1)):
        net.to(torch.float16)
        return torch.float16
    first, last = layers[0], layers[-1]
    layers[0], layers[-1] = torch.nn.Identity(), torch.nn.Identity()
    net.to(torch.float16)
    layers[0], layers[-1] = _PatchedFp32Conv(first, torch.float16, "ieee"), _PatchedFp32Conv(last, torch.float32, "tf32")
    return torch.float32


def _is_plain_conv(layer: Any) -> bool:
    """Whether the output has the size of the input and each pixel depends on those within the padding."""
    if not isinstance(layer, torch.nn.Conv2d) or layer.stride != (1, 1) or layer.padding_mode != "zeros":
        return False
    return isinstance(layer.padding, tuple) and all(
        side == 2 * padding + 1 for side, padding in zip(layer.kernel_size, layer.padding, strict=True)
    )


class _PatchedFp32Conv(torch.nn.Module):
    """A convolution in fp32 on features of any dtype, patch by patch: whole, 64 channels in fp32 at the size of the result take
    as much memory as all the rest.

    ``gpu_precision`` is ``tf32`` where the features were computed in fp16: TF32 holds these exactly and sums in fp32, so only
    the weights are rounded, as in fp16, and matrix units compute it.
    """

    _PATCH_SIDE = 512

    def __init__(self, conv: torch.nn.Conv2d, output_dtype: torch.dtype, gpu_precision: str) -> None:
        super().__init__()
        self.conv = conv
        self._output_dtype, self._gpu_precision = output_dtype, gpu_precision

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        count, _, height, width = features.shape
        shape = (count, self.conv.out_channels, height, width)
        layout = torch.channels_last
        result = torch.empty(shape, dtype=self._output_dtype, device=features.device, memory_format=layout)
        margin = max(self.conv.kernel_size) // 2
        with _set_conv_precision(self._gpu_precision):
            for patch in split_into_patches(height, width, side=self._PATCH_SIDE, margin=margin):
                output = self.conv(patch.view_padded(features).to(torch.float32, memory_format=layout))
                patch.view_core(result).copy_(patch.crop_to_core(output))
        return result


@contextmanager
def _set_conv_precision(name: str) -> Generator[None]:
    """Compute fp32 convolutions on an NVIDIA GPU in ``ieee`` or ``tf32``."""
    cudnn: Any = torch.backends.cudnn
    has_names = hasattr(cudnn, "conv")  # since torch 2.9
    owner, attribute = (cudnn.conv, "fp32_precision") if has_names else (cudnn, "allow_tf32")
    before = getattr(owner, attribute)
    setattr(owner, attribute, name if has_names else name == "tf32")
    try:
        yield
    finally:
        setattr(owner, attribute, before)


class _CastLayer(torch.nn.Module):
    """Converts its input to one dtype, computes in that, and converts the result to another."""

    def __init__(self, inner: torch.nn.Module, compute_dtype: torch.dtype, output_dtype: torch.dtype) -> None:
        super().__init__()
        self.inner = inner.to(compute_dtype)
        self._compute_dtype, self._output_dtype = compute_dtype, output_dtype

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.inner(images.to(self._compute_dtype)).to(self._output_dtype)


def _convert_rrdb(layers: torch.nn.Sequential) -> torch.nn.Sequential:
    first, shortcut, *tail, last = layers
    shortcut.to(torch.bfloat16)
    trunk: Any = cast(Any, shortcut).sub
    trunk[-1] = _CastLayer(trunk[-1], torch.bfloat16, torch.float32)
    return torch.nn.Sequential(
        _CastLayer(first, torch.float32, torch.float32),
        shortcut,
        _CastLayer(fuse_activations(tail), torch.bfloat16, torch.float32),
        _CastLayer(last, torch.float32, torch.float32),
    )


def _is_plain_esrgan(net: Any) -> bool:
    """Whether this is the network of Real-ESRGAN, without the additions of ESRGAN+ and without norms."""
    ends = (net.model[0], net.model[1].sub[-1], net.model[-1])
    return (
        has_dense_blocks(net)
        and all(isinstance(one, torch.nn.Conv2d) for one in ends)
        and all(isinstance(one, _TAIL_LAYER_TYPES) for one in net.model[2:])
    )
