"""Generated weights for the networks of the catalog, under the key names and in the wrapping of their official files.

For what does not depend on what a network has learned: its speed and memory, whether a tiled result is the untiled one,
whether a loader reads the layout. The pictures that it makes are noise, and whoever uses it says so.

The settings are those of the authors' own inference scripts: ``main_test_swinir.py`` of SwinIR, ``main_test_bsrgan.py`` of
BSRGAN, ``inference_realesrgan.py`` of Real-ESRGAN. ``tests/upscale/test_transformers.py`` loads the result, strictly, into
the authors' classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import torch

from .catalog import CatalogEntry
from .load import Descriptor, StateDict, recognise
from .networks import ESRGAN, Compact, SwinIR

Keys = Literal["own", "basicsr", "kair"]
Settings = dict[str, Any]

_WINDOWS: Settings = {"img_size": 64, "window_size": 8, "mlp_ratio": 2, "in_chans": 3, "img_range": 1.0}
_MIDDLE: Settings = {**_WINDOWS, "depths": [6] * 6, "embed_dim": 180, "num_heads": [6] * 6}
_LARGE: Settings = {**_WINDOWS, "depths": [6] * 9, "embed_dim": 240, "num_heads": [8] * 9, "resi_connection": "3conv"}
_SMALL: Settings = {**_WINDOWS, "depths": [6] * 4, "embed_dim": 60, "num_heads": [6] * 4}
_SPREAD = 0.15
"""Standard deviation of what a generated network makes of noise: an error is seen, little is cut off."""


@dataclass(frozen=True)
class _Layout:
    network: type[torch.nn.Module]
    settings: Settings
    wrapping: str | None
    """The key that the official file holds its tensors under."""
    last: str
    """The last convolution, in spandrel's names."""
    keys: Keys = "own"


def _rrdb(blocks: int, keys: Keys = "basicsr", **more: Any) -> _Layout:
    upsamplings = 1 if more.get("scale") == 2 else 2
    last = f"model.{4 + 3 * upsamplings}"
    settings = {"num_blocks": blocks, **more}
    return _Layout(ESRGAN, settings, "params_ema" if keys == "basicsr" else None, last, keys)


def _srvgg(convolutions: int) -> _Layout:
    return _Layout(Compact, {"num_conv": convolutions}, "params", f"body.{2 * convolutions + 2}")


def _swinir(settings: Settings, upsampler: str, scale: int) -> _Layout:
    wrapping = "params_ema" if upsampler == "nearest+conv" else "params"
    last = "upsample.0" if upsampler == "pixelshuffledirect" else "conv_last"
    return _Layout(SwinIR, {**settings, "upsampler": upsampler, "upscale": scale}, wrapping, last)


_LAYOUTS: dict[str, _Layout] = {
    "realesrgan-x4plus": _rrdb(23),
    "realesrnet-x4plus": _rrdb(23),
    "realesrgan-x2plus": _rrdb(23, in_nc=12, shuffle_factor=2),
    "realesrgan-x4plus-anime": _rrdb(6),
    "realesr-animevideov3": _srvgg(16),
    "realesr-general-x4v3": _srvgg(32),
    "realesr-general-wdn-x4v3": _srvgg(32),
    "swinir-m-x4": _swinir(_MIDDLE, "nearest+conv", 4),
    "swinir-m-x2": _swinir(_MIDDLE, "nearest+conv", 2),
    "swinir-l-x4": _swinir(_LARGE, "nearest+conv", 4),
    "swinir-classical-x4": _swinir(_MIDDLE, "pixelshuffle", 4),
    "swinir-classical-x3": _swinir(_MIDDLE, "pixelshuffle", 3),
    "swinir-classical-x2": _swinir(_MIDDLE, "pixelshuffle", 2),
    "swinir-lightweight-x4": _swinir(_SMALL, "pixelshuffledirect", 4),
    "swinir-lightweight-x3": _swinir(_SMALL, "pixelshuffledirect", 3),
    "swinir-lightweight-x2": _swinir(_SMALL, "pixelshuffledirect", 2),
    "bsrgan-x4": _rrdb(23, "kair"),
    "bsrgan-x2": _rrdb(23, "kair", scale=2),
    "bsrnet-x4": _rrdb(23, "kair"),
}


def generate(entry: CatalogEntry, seed: int = 8) -> dict[str, Any]:
    """What ``torch.load`` would give for the official file of ``entry``, with weights drawn from ``seed``.

    They are drawn as the network's authors start their training; the last convolution is then scaled so that noise becomes
    values around 0.5 that are not cut off. The random state of the process is left as it was.
    """
    layout = _LAYOUTS[entry.id]
    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
        torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch about the architectures' own code
            network = layout.network(**layout.settings).eval()
            _centre(network, layout)
    tensors = _renamed(network.state_dict(), layout)
    return {layout.wrapping: tensors} if layout.wrapping else tensors


def generated(entry: CatalogEntry, seed: int = 8) -> Descriptor:
    """The network of ``entry`` with generated weights, as ``load`` gives one: float32, on the CPU, without a provenance."""
    return recognise(generate(entry, seed), f"generated weights of {entry.id}")


def _centre(network: torch.nn.Module, layout: _Layout) -> None:
    last = network.get_submodule(layout.last)
    assert isinstance(last, torch.nn.Conv2d)
    assert last.bias is not None
    with torch.inference_mode(mode=False), torch.no_grad():
        made = _of_noise(network)
        last.weight.mul_(_SPREAD / float(made.std(dim=(2, 3)).mean()))
        offsets = 0.5 - _of_noise(network).mean(dim=(0, 2, 3))
        last.bias.add_(offsets.repeat_interleave(last.out_channels // len(offsets)))


def _of_noise(network: torch.nn.Module) -> torch.Tensor:
    made: torch.Tensor = network(torch.rand(1, 3, 16, 16))
    return made


def _renamed(tensors: StateDict, layout: _Layout) -> StateDict:
    """spandrel names the modules of RRDBNet by their place, the authors' files by their role; the order is the same."""
    if layout.keys == "own":
        return dict(tensors)
    upsamplings = 1 if layout.settings.get("scale") == 2 else 2
    names = _rrdb_names(layout.settings["num_blocks"], upsamplings, layout.keys)
    pairs = [f"{name}.{part}" for name in names for part in ("weight", "bias")]
    return dict(zip(pairs, tensors.values(), strict=True))


def _rrdb_names(blocks: int, upsamplings: int, keys: Keys) -> Iterator[str]:
    kair = keys == "kair"
    body, dense, after = ("RRDB_trunk", "RDB", "trunk_conv") if kair else ("body", "rdb", "conv_body")
    up, full = ("upconv", "HRconv") if kair else ("conv_up", "conv_hr")
    yield "conv_first"
    for block, part, conv in product(range(blocks), (1, 2, 3), (1, 2, 3, 4, 5)):
        yield f"{body}.{block}.{dense}{part}.conv{conv}"
    yield after
    yield from (f"{up}{step}" for step in range(1, upsamplings + 1))
    yield from (full, "conv_last")
