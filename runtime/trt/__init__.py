"""TensorRT engines: built from a model or an ONNX file, cached, verified, and attached to the model that they belong to.

An engine is used only while its file is intact and everything that it was built from and for is unchanged; otherwise it is
built again, and a message says why. One adapter serves TensorRT and TensorRT for RTX; neither is imported before it is needed.

* ``engine_info``     what an engine was built from and for, in a file beside it, and the sizes that it takes.   light
* ``target_gpu``      the GPUs that it is built for, and which TensorRT is installed.                            light
* ``engine_source``   a model or an ONNX file, as the builder needs it.
* ``build``           the builder: strongly typed, with progress and cancellation.
* ``get_or_build``    the cached engine, or a new one, stored on the UPSCALE_MODEL value; what the node calls.
* ``engine_session``  runs an engine on a GPU.
"""

# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from ..lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .engine_info import EngineInfo, find_engine_path, read_engine_info
    from .engine_session import EngineSession, open_engine_session
    from .engine_source import EngineSource, make_source_from_model, make_source_from_onnx
    from .get_or_build import AttachedEngine, EngineSettings, attach_built_engine, get_engine, get_gpu_name, get_or_build_engine
    from .target_gpu import find_builder

__getattr__ = lazy_exports(__name__, __file__)
