"""``--cache``: the store of results, told what decides them here."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..graph.execute.node_cache import NodeCache
from ..host import LocalHost
from ..paths import CATALOG_FILE, PACK_ROOT, get_autotune_file
from .required_files import FileFinder
from .run_options import NodeCatalog

DEFAULT_CACHE_LIMIT_GB = 20.0
"""GB."""
_BYTES_PER_GB = 10**9
_OWN_CODE = (PACK_ROOT / "nodes", PACK_ROOT / "runtime", CATALOG_FILE)
"""What computes our results. The catalog says how wide a halo is and which precisions a model bears."""


def open_cache(
    folder: Path, limit_gb: float, host: LocalHost, catalog: NodeCatalog, show_message: Callable[[str], None]
) -> NodeCache:
    """The results of earlier runs in ``folder``, of at most ``limit`` GB. Raises ``OutputError`` for one that cannot be used.

    Results count for the same device and the same graphics cards; another processor with the same instruction sets may use
    them, where ``auto`` is not known to be something else there.
    """
    from ..hardware.cpu import query_cpu
    from ..hardware.nvidia import query_nvidia
    from ..result_cache.disk_cache import DiskCache
    from ..result_cache.version_key import VersionKeyBuilder

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
    ]
    version = VersionKeyBuilder(FileFinder(host).find, _OWN_CODE, catalog.packs, environment)
    return DiskCache(
        folder,
        round(limit_gb * _BYTES_PER_GB),
        output=host.folder("output"),
        compute_version=version,
        get_autotune_choices=read_autotune_choices,
        on_message=show_message,
    )


def read_autotune_choices() -> dict[str, str]:
    """What ``auto`` was measured to be, each answer under the key of what was asked. Nothing when there is no such file."""
    with suppress(OSError, ValueError, AttributeError):
        choices = json.loads(get_autotune_file().read_text(encoding="utf-8"))
        return {key: f"{said.get('backend')} {said.get('precision')}" for key, said in choices.items()}
    return {}
