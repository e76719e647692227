"""Find, verify, download and load model weights.

Guarantees: a name never leads out of its folder. Weights load as tensors only. A file appears under its final name only when
it is complete and has its confirmed hash (a warning says where none is confirmed). Nothing is downloaded without a request.

* ``catalog``            the known models of ``models/catalog.toml``                            light
* ``auto_choice``        the model that ``auto`` means for a kind of image                         light
* ``locate``             the file that a name stands for; the names that a selector offers      light
* ``extra_model_paths``  ComfyUI's YAML file with further folders                               light
* ``spandrel_import``    spandrel, without the libraries that it would load unused
* ``load``               a file as spandrel's descriptor, the value on the wire
* ``chain``             several networks as one, and the average over an image mirrored and turned
* ``upscale_model``      what the tiled engine must know about a descriptor
* ``ncnn_files/``        ncnn's two files as a state dict; ``conversion_cache`` stores it
* ``onnx_export``        a loaded model as an ONNX file, checked against torch
* ``random_weights``     random weights in the official layouts, to test speed, tiling and loaders
* ``verify``             check the files that are present; import files that the user downloaded
* ``pull``               the explicit download: HTTPS, resumed, checked                         light
* ``openmodeldb``        a model of OpenModelDB by its name, and what is written beside its file      light
* ``listing``            the table of ``models list``                                           light

The light modules import neither torch nor numpy.
"""

# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from ..lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .auto_choice import AUTO_FAST_MODEL, AUTO_MODEL, AUTO_MODELS, ImageKind, ModelChoice, choose_model
    from .catalog import DENOISE_MODELS, CatalogEntry, find_entry, load_catalog
    from .chain import ChainNetwork, chain_models, list_stages, repeat_enlargers
    from .extra_model_paths import read_model_folders
    from .listing import ModelRow, list_models
    from .load import Descriptor, hash_weights, interpolate_models, load_model, read_weights
    from .locate import (
        FoundModel,
        find_dependency_weights,
        find_model,
        find_model_file,
        list_catalog_models,
        list_selector_names,
        resolve_model_names,
        split_chain,
        split_names,
    )
    from .network_copy import copy_without_host_state
    from .onnx_export import ANY_SIZE, INPUT, export_onnx, get_exporter_version, hash_graph, write_onnx
    from .openmodeldb import DATABASE_PREFIX, find_database_entry, get_page, write_record
    from .pull import pull_model
    from .random_weights import generate_model
    from .spandrel_import import ESRGAN, Compact
    from .upscale_model import DEFAULT_HALO, UpscaleModel
    from .verify import import_file, verify_models

__getattr__ = lazy_exports(__name__, __file__)
