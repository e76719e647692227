"""Shared fixtures: a cache folder of their own, small networks, and the real weights that are installed."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import requests
import torch
from spandrel import MAIN_REGISTRY, ImageModelDescriptor
from spandrel.architectures.Compact import Compact
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.PLKSR import RealPLKSR
from spandrel.architectures.SwinIR import SwinIR
from upscale8k.runtime.models.locate import FoundModel

Descriptor = ImageModelDescriptor[torch.nn.Module]
DEPENDENCY_IDS = ["realesrgan-x4plus", "realesrgan-x4plus-anime", "realesr-animevideov3"]


def thin_swinir(depths: list[int], upscale: int = 4, **settings: object) -> torch.nn.Module:
    heads = [1] * len(depths)
    shape = {"img_size": 64, "window_size": 8, "embed_dim": 4, "mlp_ratio": 2.0, "upscale": upscale}
    return SwinIR(depths=depths, num_heads=heads, **shape, **settings)


def thin_rrdb(**settings: object) -> Callable[[], torch.nn.Module]:
    return partial(ESRGAN, num_filters=4, **settings)


def thin_srvgg(convolutions: int, **settings: object) -> Callable[[], torch.nn.Module]:
    return partial(Compact, num_feat=4, num_conv=convolutions, **settings)


_RRDB_23 = thin_rrdb(num_blocks=23)
_SRVGG_32 = thin_srvgg(32)
_REAL_PLKSR = partial(RealPLKSR, dim=16, upscaling_factor=1)
NETWORKS: dict[str, Callable[[], torch.nn.Module]] = {
    "realesrgan-x4plus": _RRDB_23,
    "realesrnet-x4plus": _RRDB_23,
    "realesrgan-x2plus": thin_rrdb(num_blocks=23, in_nc=12, shuffle_factor=2),
    "realesrgan-x4plus-anime": thin_rrdb(num_blocks=6),
    "realesr-animevideov3": thin_srvgg(16),
    "realesr-general-x4v3": _SRVGG_32,
    "realesr-general-wdn-x4v3": _SRVGG_32,
    "swinir-m-x4": partial(thin_swinir, [6] * 6, upsampler="nearest+conv"),
    "swinir-m-x2": partial(thin_swinir, [6] * 6, 2, upsampler="nearest+conv"),
    "swinir-l-x4": partial(thin_swinir, [6] * 9, upsampler="nearest+conv", resi_connection="3conv"),
    "swinir-classical-x4": partial(thin_swinir, [6] * 6, upsampler="pixelshuffle"),
    "swinir-classical-x3": partial(thin_swinir, [6] * 6, 3, upsampler="pixelshuffle"),
    "swinir-classical-x2": partial(thin_swinir, [6] * 6, 2, upsampler="pixelshuffle"),
    "swinir-lightweight-x4": partial(thin_swinir, [6] * 4, upsampler="pixelshuffledirect"),
    "swinir-lightweight-x3": partial(thin_swinir, [6] * 4, 3, upsampler="pixelshuffledirect"),
    "swinir-lightweight-x2": partial(thin_swinir, [6] * 4, 2, upsampler="pixelshuffledirect"),
    "bsrgan-x4": _RRDB_23,
    "bsrgan-x2": thin_rrdb(num_blocks=23, scale=2),
    "bsrnet-x4": _RRDB_23,
    "denoise-realplksr-x1": _REAL_PLKSR,
    "dejpg-realplksr-x1": _REAL_PLKSR,
    "deh264-realplksr-x1": _REAL_PLKSR,
    "dehalo-epsilon-x1": thin_srvgg(16, upscale=1),
}
"""The settings of the official networks (their authors' inference scripts) with few channels: reach and grid are the same."""


def described(network: torch.nn.Module) -> Descriptor:
    """The network as spandrel recognises it, the way ComfyUI's own loader gets it."""
    descriptor = MAIN_REGISTRY.load({key: value.clone() for key, value in network.state_dict().items()}).eval()
    assert isinstance(descriptor, ImageModelDescriptor)
    return descriptor


@pytest.fixture(autouse=True)
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing here touches the cache folder of the person who runs the tests."""
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def compact_state() -> dict[str, torch.Tensor]:
    """The tensors of a small SRVGGNetCompact, x2, under their official names."""
    torch.manual_seed(8)
    return dict(Compact(num_feat=4, num_conv=2, upscale=2).state_dict())


def in_folder(path: Path) -> FoundModel:
    return FoundModel(path.name, None, path, "folder")


@pytest.fixture
def plain_http() -> Iterator[requests.Session]:
    """The explicit parameter without which nothing but HTTPS is spoken."""
    with requests.Session() as session:
        session.trust_env = False
        yield session
