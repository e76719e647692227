"""Results of nodes on disk, for ``run --cache``: a second run of a workflow calls only what has changed.

A loaded result is bit-identical to the stored one, and a run that stores a result continues with the same bits. Nothing is
unpickled (JSON and safetensors only). Damaged, truncated and foreign files are not used. Files are written atomically, so
that runs can share a folder. The folder stays below its limit; the least recently used files are deleted first.

* ``serialize``   values to JSON and tensors, and back; values without a safe form (models, videos) are not stored
* ``blobs``       one tensor per file, named by its content
* ``disk_cache``  the cache for the executor: entries, files of output nodes, the size limit
* ``version_key`` what decides a result besides its inputs: source code, libraries, the content of files

torch and safetensors are imported only when a tensor is stored or loaded.
"""

# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from ..lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .disk_cache import DiskCache
    from .version_key import VersionKeyBuilder

__getattr__ = lazy_exports(__name__, __file__)
