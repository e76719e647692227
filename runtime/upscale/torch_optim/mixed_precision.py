"""A network in bf16 that keeps fp32 where its eight bits show: at both ends and in the sums.

With the few steps that bf16 has between 0.5 and 1, an image rounded to it shows bands, and a trunk whose many sums are each
rounded drifts. The convolutions between, which are nearly all of the work, tolerate it. Against fp32, on six 48 px crops of
photographs and drawings: Real-ESRGAN x4plus 50.7 to 56.7 dB all in bf16, 56.8 to 60.7 dB so; animevideov3, on eight of 64 px,
54.0 to 64.8 and 56.0 to 68.9 dB; in the same time.
"""

from typing import Any, cast

import torch

from ...models import ESRGAN, Compact
from .fused_conv import fuse_activations
from .patches import SingleThreadWorkers
from .rrdb import has_dense_blocks, replace_dense_blocks

_TAIL_LAYER_TYPES = (
    torch.nn.Conv2d,
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
