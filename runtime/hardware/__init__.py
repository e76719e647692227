"""Detect this machine and its free resources, and recommend settings for it.

Guarantees: detection needs no torch and well under two seconds, without a GPU, with several or with a broken driver, and in a
container. An unknown fact is None or a sentence in the notes, never an error. Every recommended setting has its reason.

* ``detect``        everything below in one ``Machine``, and the versions of packages
* ``nvidia``        NVIDIA GPUs by NVML; ``gpu`` what is known of a GPU, and those that only torch can see (ROCm, MPS, XPU)
* ``cpu``, ``capacity`` (memory and disks, also in a container)   the rest of the machine
* ``tile_memory``   memory per tile by architecture, backend and precision, and the largest tile that fits
* ``calibration``   measured memory and time of models, and the file that stores them
* ``settings``      the recommended settings with their reasons
* ``report``        machine and settings as text
* ``installation``  problems of the installed libraries; ``import_check`` imports them in a process of its own
"""

# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from ..lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .calibration import (
        Calibration,
        CalibrationSubject,
        Measurement,
        choose_backend,
        find_measurements,
        forget_calibration,
        get_calibration_path,
        load_calibration,
        make_subject,
        measure_footprint,
        measure_in_turn,
        store_calibration,
    )
    from .capacity import (
        PeakSampler,
        compute_queue_bytes,
        get_reserved_gpu_memory,
        query_disk,
        query_memory,
        reserve_gpu_memory,
    )
    from .cpu import Cpu, count_usable_cores, has_bf16, query_cpu
    from .detect import Machine, detect_machine, get_installed_version
    from .gpu import Gpu, is_torch_loaded
    from .installation import Finding, check_installation, parse_version
    from .nvidia import query_nvidia
    from .report import format_bytes, format_report
    from .settings import UpscaleSettings, recommend_settings
    from .tile_memory import (
        COST_TOLERANCE,
        Footprint,
        NetworkProfile,
        choose_cost_tolerance,
        choose_tile_side,
        compute_useful_memory,
        default_footprint,
        estimate_useful_memory,
        memory_budget,
    )

__getattr__ = lazy_exports(__name__, __file__)
