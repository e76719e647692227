"""A network in bf16 that keeps fp32 where its eight bits show: at both ends and in the sums.

A number between a half and one has 256 steps in bf16, so a picture that is itself rounded to it shows bands, and a trunk whose
many sums are each rounded drifts. The convolutions between, which are nearly all of the work, bear it. Against fp32, on six
48 px crops of photographs and drawings: Real-ESRGAN x4plus 50.7 to 56.7 dB all in bf16, 56.8 to 60.7 dB so; animevideov3, on
eight of 64 px, 54.0 to 64.8 and 56.0 to 68.9 dB; in the same time.
"""

from __future__ import annotations

from typing import Any, cast

import torch

from ...models.networks import ESRGAN, Compact
from .crew import Crew
from .dense import dense_in_pieces, has_dense_blocks
from .fused import fused

_TAIL = (torch.nn.Conv2d, torch.nn.Upsample, torch.nn.PixelShuffle, torch.nn.LeakyReLU, torch.nn.ReLU, torch.nn.PReLU)


def in_bfloat16(net: torch.nn.Module, crew: Crew | None = None) -> torch.dtype:
    """Turn ``net`` to bf16 in place, and return the dtype that it takes pictures in: fp32 where its ends were kept in it.

    ``crew`` makes the dense blocks of an ESRGAN, on a processor.
    """
    kept = isinstance(net, Compact) or (isinstance(net, ESRGAN) and _is_plain(net))
    if not kept:
        net.to(torch.bfloat16)
        return torch.bfloat16
    layers: Any = net
    if isinstance(net, Compact):
        first, *body, last = layers.body
        body = [one.to(torch.bfloat16) for one in body]
        ends = _Inside(first, torch.float32, torch.bfloat16), _Inside(last, torch.bfloat16, torch.float32)
        layers.body = torch.nn.ModuleList([ends[0], *body, ends[1]])
    else:
        dense_in_pieces(net, crew)
        layers.model = _rrdb(cast(torch.nn.Sequential, layers.model))
    return torch.float32


class _Inside(torch.nn.Module):
    """Computes in one dtype, whatever comes in, and gives another."""

    def __init__(self, inner: torch.nn.Module, inside: torch.dtype, outside: torch.dtype) -> None:
        super().__init__()
        self.inner = inner.to(inside)
        self._inside, self._outside = inside, outside

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.inner(pictures.to(self._inside)).to(self._outside)


def _rrdb(layers: torch.nn.Sequential) -> torch.nn.Sequential:
    first, shortcut, *tail, last = layers
    shortcut.to(torch.bfloat16)
    trunk: Any = cast(Any, shortcut).sub
    trunk[-1] = _Inside(trunk[-1], torch.bfloat16, torch.float32)
    return torch.nn.Sequential(
        _Inside(first, torch.float32, torch.float32),
        shortcut,
        _Inside(fused(tail), torch.bfloat16, torch.float32),
        _Inside(last, torch.float32, torch.float32),
    )


def _is_plain(net: Any) -> bool:
    """Whether this is the network of Real-ESRGAN, without the additions of ESRGAN+ and without norms."""
    ends = (net.model[0], net.model[1].sub[-1], net.model[-1])
    return (
        has_dense_blocks(net)
        and all(isinstance(one, torch.nn.Conv2d) for one in ends)
        and all(isinstance(one, _TAIL) for one in net.model[2:])
    )
