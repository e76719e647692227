"""Benchmarks of time and memory, beside other programs.

All peers get the same weights, image and number of threads. Every run is a new process, the peers take turns, and medians and
their ratios are printed, losses included.

* ``image``, ``video``   one image or video: ComfyUI's own nodes and ours
* ``peers``              one image with every program that can upscale it on a CPU; ``peers_page`` writes the report, such
  as ``BENCHMARKS.md``
* ``model_speed``        every model by size, tile, precision and backend; ``benchmark_results`` holds the values,
  ``benchmark_files`` writes them; ``plots`` draws for both
* ``model_comparison``   the models on the crops of a report
* ``calibrate``          memory and time of the models of the pack, for the settings that are suggested
* ``gpu``                an NVIDIA GPU: our way to run a model and ComfyUI's, and what is correct there
* ``limit``              how near a model comes to the rate of its own convolutions on a CPU, and where the rest goes
* ``shared_video``       one process against several workers
* ``halo``               the error next to a cut by halo
* ``workers``            the processes of ``image``, ``video`` and ``peers``; ``worker_jobs`` starts them
* ``measure``            time and peak memory, and the test images
"""

# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from ..lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .benchmark_files import format_table, write_benchmark
    from .calibrate import calibrate_models, calibrate_with_progress, describe_network
    from .gpu.gpu_check import check_gpu
    from .gpu.gpu_speed import measure_gpu, measure_host_time
    from .halo import measure_needed_halo, profile_model
    from .image import benchmark_image
    from .limit import measure_limits
    from .measure import describe_machine
    from .model_comparison import compare_given_images, list_compared_models, run_comparison
    from .model_speed import benchmark_models
    from .peers import benchmark_peers, list_peer_versions
    from .peers_page import format_section, write_page
    from .plots import plot_benchmark
    from .shared_video import benchmark_checkouts, benchmark_workers
    from .video import benchmark_video
    from .worker_jobs import parse_size

__getattr__ = lazy_exports(__name__, __file__)
