"""Runs images and videos through a model in tiles.

A tiled result equals the untiled one (exactly, from the model's exact halo on), there is one buffer for the result, finished
tiles survive a lack of memory, and a message tells the user what was done differently.

* ``image_batch``, ``video``   what the nodes call: a ComfyUI IMAGE, or a stream of frames.
* ``resolved_settings``        what every ``auto`` becomes, decided once; ``forecast`` says it before the work begins.
* ``tile_loop``                the loop over one image; ``frame_result`` for the frames of a video, one after another.
* ``on_device``                the same in the memory of an NVIDIA GPU, finished there, with the codes of the host.
* ``target_size``              the requested size, and how many passes lead to it.
* ``tiles``                    where an image is cut: integers only, without torch and numpy.
* ``tile_size``, ``memory``, ``device``   the automatic tile, free memory, device and precision.
* ``output_buffer``, ``lanczos``          a tile's way into the result, through one exact reduction where necessary.
* ``color_fix``                           removal of the color drift that a model adds.
* ``temporal/``                           steady frames, and frames between frames, before a video is upscaled or after.
* ``bands/``                              rows of tiles of one image, made alone and joined.
* ``finishing/``                          color fix, blend with the plain enlargement, and grain of a whole frame.
* ``backends``                 what runs a model, one file each; ``autotune`` chooses, ``torch_optim`` makes torch fast, and
                             ``winograd`` computes convolutions with fewer products.
"""

# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from ..lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .backends import open_backend
    from .backends.base import (
        AUTO,
        BACKENDS,
        PRECISIONS,
        REFERENCE_BACKEND,
        Backend,
        OnProgress,
        Precision,
        ResolvedPrecision,
        describe_backend_choices,
        get_backend_spec,
        list_backend_choices,
        list_backend_packages,
        no_progress,
    )
    from .backends.torch import TorchBackend
    from .bands.band_job import BandEdges, BandJob, plan_bands
    from .device import resolve_device, resolve_precision
    from .finishing.borders import find_borders
    from .forecast import Forecast, forecast_upscale, record_seconds
    from .frame_result import HostResult, group_new_frames
    from .image_batch import upscale_batch
    from .memory import check_result_fits, fix_tile_memory, is_out_of_memory, return_freed_memory, reuse_freed_memory
    from .on_device.device_buffer import ResultImage
    from .on_device.device_tile_loop import DeviceResult
    from .on_device.device_types import keep_results_on
    from .on_device.planes_to_rgb import convert_to_rgb
    from .on_device.rgb_to_planes import KERNEL_NAMES, convert_to_planes
    from .on_device.transfer import Transfer
    from .resolved_settings import (
        TiledUpscaleSettings,
        build_upscale_settings,
        keep_backends_open,
        resolve_settings,
    )
    from .target_size import MODEL_SCALE, TARGET_NAMES, ScalePlan, compute_final_size, plan_scale
    from .temporal.networks.film_net import build_film_net
    from .temporal.networks.rife import build_rife
    from .temporal.steady import steady_video
    from .tile_loop import upscale_image
    from .tiles import MIN_TILE, Tiling, plan_tiles
    from .video import upscale_video

__getattr__ = lazy_exports(__name__, __file__)
