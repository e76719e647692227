"""``--cache``: the store of results, told what decides them here."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path

from ..graph.cache import Cache
from ..host import LocalHost
from .needs import Finder
from .session import PACK_ROOT, Catalog

DEFAULT_LIMIT = 20.0
"""GB."""
_GIGABYTE = 10**9


def open_cache(folder: Path, limit: float, host: LocalHost, catalog: Catalog, say: Callable[[str], None]) -> Cache:
    """The results of earlier runs in ``folder``, of at most ``limit`` GB. Raises ``OutputError`` for one that cannot be used.

    Results count for the same device and the same graphics cards; another processor of the same kind may use them.
    """
    from ..hardware.nvidia import nvidia
    from ..store.disk import DiskCache
    from ..store.versions import Versions

    cards = [] if host.device().startswith("cpu") else [gpu.name for gpu in nvidia().gpus if gpu.usable]
    settings = [host.device(), host.backend(), host.input_pixels(), platform.machine(), platform.system(), *cards]
    version = Versions(Finder(host).find, (PACK_ROOT / "nodes", PACK_ROOT / "runtime"), catalog.packs, settings)
    return DiskCache(folder, round(limit * _GIGABYTE), output=host.folder("output"), version=version, say=say)
