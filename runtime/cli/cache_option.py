"""``--cache``: open the result cache with the version of code, settings and machine."""

import platform
from collections.abc import Callable
from pathlib import Path

from ..graph import NodeCache
from ..host import LocalHost
from ..paths import CATALOG_FILE, PACK_ROOT
from .required_files import FileFinder
from .run_options import NodeCatalog

DEFAULT_CACHE_LIMIT_GB = 20.0
"""Gigabytes (10^9 bytes)."""
_BYTES_PER_GB = 10**9
_OWN_CODE = (PACK_ROOT / "nodes", PACK_ROOT / "runtime", CATALOG_FILE)
"""The code that determines results. The catalog holds halos and the safe precisions of models."""


def open_cache(
    folder: Path, limit_gb: float, host: LocalHost, catalog: NodeCatalog, show_message: Callable[[str], None]
) -> NodeCache:
    """Open the cache in ``folder`` with at most ``limit_gb`` GB. Raises ``OutputError`` if the folder cannot be used.

    Results are valid for the same device and GPUs, and for any processor with the same instruction sets, unless
    ``probe --calibrate`` measured another backend to be faster there.
    """
    from ..hardware import load_calibration, query_cpu, query_nvidia
    from ..result_cache import DiskCache, VersionKeyBuilder

    processors = (
        query_cpu().sets if host.device().startswith("cpu") else [gpu.name for gpu in query_nvidia().gpus if gpu.usable]
    )
    environment = [
        host.device(),
        host.backend(),
        host.get_max_input_pixels(),
        platform.machine(),
        platform.system(),
        *processors,
        *sorted(map(repr, load_calibration().items())),
    ]
    version = VersionKeyBuilder(FileFinder(host).find, _OWN_CODE, catalog.packs, environment)
    return DiskCache(
        folder, round(limit_gb * _BYTES_PER_GB), output=host.folder("output"), compute_version=version, on_message=show_message
    )
