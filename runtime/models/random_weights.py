"""Random weights for the networks of the catalog, with the key names and wrapper of their official files.

They serve to measure what does not depend on training: speed, memory, the equality of tiled and untiled results, and whether
a loader reads the layout. The images that they produce are noise, and callers must say so.

The hyperparameters are those of the authors' inference scripts: ``main_test_swinir.py`` of SwinIR, ``main_test_bsrgan.py`` of
BSRGAN, ``inference_realesrgan.py`` of Real-ESRGAN. ``tests/upscale/test_transformers.py`` loads the result strictly into the
authors' classes.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import torch

from .catalog import CatalogEntry
from .load import Descriptor, StateDict, load_from_state_dict
from .spandrel_import import ESRGAN, Compact, RealPLKSR, SwinIR

KeyStyle = Literal["own", "basicsr", "kair"]
Hyperparameters = dict[str, Any]

_WINDOWS: Hyperparameters = {"img_size": 64, "window_size": 8, "mlp_ratio": 2, "in_chans": 3, "img_range": 1.0}
_MIDDLE: Hyperparameters = {**_WINDOWS, "depths": [6] * 6, "embed_dim": 180, "num_heads": [6] * 6}
_LARGE: Hyperparameters = {**_WINDOWS, "depths": [6] * 9, "embed_dim": 240, "num_heads": [8] * 9, "resi_connection": "3conv"}
_SMALL: Hyperparameters = {**_WINDOWS, "depths": [6] * 4, "embed_dim": 60, "num_heads": [6] * 4}
_SPREAD = 0.15
"""Standard deviation of the output for noise: errors are visible, and few values are clamped."""


@dataclass(frozen=True)
class _CheckpointLayout:
    network: type[torch.nn.Module]
    hyperparameters: Hyperparameters
    wrapper_key: str | None
    """The key of the tensors in the official file."""
    last_convolution: str
    """spandrel's name of the last convolution."""
    key_style: KeyStyle = "own"


def _make_rrdb_layout(blocks: int, key_style: KeyStyle = "basicsr", **extra: Any) -> _CheckpointLayout:
    upsamplings = 1 if extra.get("scale") == 2 else 2
    last_convolution = f"model.{4 + 3 * upsamplings}"
    hyperparameters = {"num_blocks": blocks, **extra}
    return _CheckpointLayout(
        ESRGAN, hyperparameters, "params_ema" if key_style == "basicsr" else None, last_convolution, key_style
    )


def _make_srvgg_layout(convolutions: int, **extra: Any) -> _CheckpointLayout:
    return _CheckpointLayout(Compact, {"num_conv": convolutions, **extra}, "params", f"body.{2 * convolutions + 2}")


def _make_swinir_layout(hyperparameters: Hyperparameters, upsampler: str, scale: int) -> _CheckpointLayout:
    wrapper_key = "params_ema" if upsampler == "nearest+conv" else "params"
    last_convolution = "upsample.0" if upsampler == "pixelshuffledirect" else "conv_last"
    return _CheckpointLayout(
        SwinIR, {**hyperparameters, "upsampler": upsampler, "upscale": scale}, wrapper_key, last_convolution
    )


_REAL_PLKSR = _CheckpointLayout(RealPLKSR, {"upscaling_factor": 1}, None, "feats.30")
_LAYOUTS: dict[str, _CheckpointLayout] = {
    "realesrgan-x4plus": _make_rrdb_layout(23),
    "realesrnet-x4plus": _make_rrdb_layout(23),
    "realesrgan-x2plus": _make_rrdb_layout(23, in_nc=12, shuffle_factor=2),
    "realesrgan-x4plus-anime": _make_rrdb_layout(6),
    "realesr-animevideov3": _make_srvgg_layout(16),
    "realesr-general-x4v3": _make_srvgg_layout(32),
    "realesr-general-wdn-x4v3": _make_srvgg_layout(32),
    "swinir-m-x4": _make_swinir_layout(_MIDDLE, "nearest+conv", 4),
    "swinir-m-x2": _make_swinir_layout(_MIDDLE, "nearest+conv", 2),
    "swinir-l-x4": _make_swinir_layout(_LARGE, "nearest+conv", 4),
    "swinir-classical-x4": _make_swinir_layout(_MIDDLE, "pixelshuffle", 4),
    "swinir-classical-x3": _make_swinir_layout(_MIDDLE, "pixelshuffle", 3),
    "swinir-classical-x2": _make_swinir_layout(_MIDDLE, "pixelshuffle", 2),
    "swinir-lightweight-x4": _make_swinir_layout(_SMALL, "pixelshuffledirect", 4),
    "swinir-lightweight-x3": _make_swinir_layout(_SMALL, "pixelshuffledirect", 3),
    "swinir-lightweight-x2": _make_swinir_layout(_SMALL, "pixelshuffledirect", 2),
    "bsrgan-x4": _make_rrdb_layout(23, "kair"),
    "bsrgan-x2": _make_rrdb_layout(23, "kair", scale=2),
    "bsrnet-x4": _make_rrdb_layout(23, "kair"),
    "denoise-realplksr-x1": _REAL_PLKSR,
    "dejpg-realplksr-x1": _REAL_PLKSR,
    "deh264-realplksr-x1": _REAL_PLKSR,
    "dehalo-epsilon-x1": _make_srvgg_layout(16, upscale=1),
}


def generate_checkpoint(entry: CatalogEntry, seed: int = 8) -> dict[str, Any]:
    """Return what ``torch.load`` returns for the official file of ``entry``, but with random weights from ``seed``.

    They are the authors' initialisation; the last convolution is then scaled so that noise becomes values around 0.5 that are
    not clamped. The random state of the process does not change.
    """
    layout = _LAYOUTS[entry.id]
    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
        torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about the architectures' own code
            network = layout.network(**layout.hyperparameters).eval()
            _center_output(network, layout)
    tensors = _rename_keys(network.state_dict(), layout)
    return {layout.wrapper_key: tensors} if layout.wrapper_key else tensors


def generate_model(entry: CatalogEntry) -> Descriptor:
    """Return the network of ``entry`` with random weights: float32, on the CPU, without provenance."""
    return load_from_state_dict(generate_checkpoint(entry), f"generated weights of {entry.id}")


def _center_output(network: torch.nn.Module, layout: _CheckpointLayout) -> None:
    last_convolution = network.get_submodule(layout.last_convolution)
    assert isinstance(last_convolution, torch.nn.Conv2d)
    assert last_convolution.bias is not None
    with torch.inference_mode(mode=False), torch.no_grad():
        output = _run_on_noise(network)
        last_convolution.weight.mul_(_SPREAD / float(output.std(dim=(2, 3)).mean()))
        offsets = 0.5 - _run_on_noise(network).mean(dim=(0, 2, 3))
        last_convolution.bias.add_(offsets.repeat_interleave(last_convolution.out_channels // len(offsets)))


def _run_on_noise(network: torch.nn.Module) -> torch.Tensor:
    output: torch.Tensor = network(torch.rand(1, 3, 16, 16))
    return output


def _rename_keys(tensors: StateDict, layout: _CheckpointLayout) -> StateDict:
    """Rename keys as in the authors' files, which name RRDBNet's modules by role, in the same order as spandrel."""
    if layout.key_style == "own":
        return dict(tensors)
    upsamplings = 1 if layout.hyperparameters.get("scale") == 2 else 2
    names = _iterate_rrdb_keys(layout.hyperparameters["num_blocks"], upsamplings, layout.key_style)
    pairs = [f"{name}.{part}" for name in names for part in ("weight", "bias")]
    return dict(zip(pairs, tensors.values(), strict=True))


def _iterate_rrdb_keys(blocks: int, upsamplings: int, key_style: KeyStyle) -> Iterator[str]:
    is_kair = key_style == "kair"
    body, dense, after = ("RRDB_trunk", "RDB", "trunk_conv") if is_kair else ("body", "rdb", "conv_body")
    up, full = ("upconv", "HRconv") if is_kair else ("conv_up", "conv_hr")
    yield "conv_first"
    for block, part, conv in product(range(blocks), (1, 2, 3), (1, 2, 3, 4, 5)):
        yield f"{body}.{block}.{dense}{part}.conv{conv}"
    yield after
    yield from (f"{up}{step}" for step in range(1, upsamplings + 1))
    yield from (full, "conv_last")
