"""One job on several workers: processes of this machine, other machines on a shared folder, or a Ray cluster.

With ``--workers N`` the driver makes segments too, from its first moment on, so that no work waits for a process to start.
The segments of an unfinished video are the work; of many files, each is an item (``shared_files``). Beside them, in
``NAME.mp4.parts``, the driver writes::

    order.json                   the prompt, the node that writes the video, its settings, and runs of segments: the items
    order.work/ID/000012.1.parts    the first try of item 12: its segments, a journal, and the sign of life of its worker
    order.work/ID/000012.1.failed   why that try ended without a result; the second try is 000012.2

A worker takes an item by creating the folder of a try, which only one can. It runs the prompt as every run does, and writes
segments instead of a video. Items may be made twice, and are committed once: only the driver, which holds the lock of the
video, moves segments and writes the journal. Frames never travel, and the result has the bytes that one process makes.

* ``worker_choice``  ``--workers`` as a value
* ``writer``         how a node writes its video
* ``order``          the order as a file
* ``tries``          how workers take items, and what a try holds
* ``collector``      the driver's side of the tries: results, lost workers; ``segment_collector`` commits those of a video
* ``driver``         the order of a video, from its first item to its last
* ``shared_sequence``  the order of an image sequence
* ``large_images``   who upscales an image; ``image_bands`` shares out its rows of tiles, ``shared_files`` many files
* ``processes``      workers on this machine; ``ray_cluster`` on the nodes of a Ray cluster; ``worker_report`` what they offer
* ``worker``         a worker's side
"""

# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from ..lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .large_images import discard_finished_images, upscale_images
    from .order import Item, Order, read_order
    from .shared_files import share_files, work_on_files
    from .worker import WorkerHost, follow_parent, limit_cores
    from .worker_choice import SHARE_HELP, WORKERS_HELP, WorkerChoice, join_share, parse_workers
    from .worker_report import describe_workers
    from .writer import open_sequence_writer, open_writer

__getattr__ = lazy_exports(__name__, __file__)
