"""``--cache``: the store of results, told what decides them here."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..graph.cache import Cache
from ..host import LocalHost
from .needs import Finder
from .session import PACK_ROOT, Catalog

DEFAULT_LIMIT = 20.0
"""GB."""
_GIGABYTE = 10**9
_OWN = (PACK_ROOT / "nodes", PACK_ROOT / "runtime", PACK_ROOT / "models" / "catalog.toml")
"""What computes our results. The catalog says how wide a halo is and which precisions a model bears."""
_SETTLED = "backends.json"
"""In the cache folder: what ``auto`` settled on, as ``upscale`` writes it down."""


def open_cache(folder: Path, limit: float, host: LocalHost, catalog: Catalog, say: Callable[[str], None]) -> Cache:
    """The results of earlier runs in ``folder``, of at most ``limit`` GB. Raises ``OutputError`` for one that cannot be used.

    Results count for the same device and the same graphics cards; another processor with the same instruction sets may use
    them, where ``auto`` is not known to be something else there.
    """
    from ..hardware.cpu import cpu
    from ..hardware.nvidia import nvidia
    from ..store.disk import DiskCache
    from ..store.versions import Versions

    cards = cpu().sets if host.device().startswith("cpu") else [gpu.name for gpu in nvidia().gpus if gpu.usable]
    settings = [host.device(), host.backend(), host.input_pixels(), platform.machine(), platform.system(), *cards]
    version = Versions(Finder(host).find, _OWN, catalog.packs, settings)
    return DiskCache(folder, round(limit * _GIGABYTE), output=host.folder("output"), version=version, settled=settled, say=say)


def settled() -> dict[str, str]:
    """What ``auto`` was measured to be, each answer under the key of what was asked. Nothing when there is no such file."""
    from ..models.converted import cache_folder

    with suppress(OSError, ValueError, AttributeError):
        content = json.loads((cache_folder() / _SETTLED).read_text(encoding="utf-8"))
        return {key: f"{said.get('backend')} {said.get('precision')}" for key, said in content.items()}
    return {}
