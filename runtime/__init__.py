"""The engine of Upscale8K. It knows no node and no ComfyUI; this file holds no code, because every path leads through it.

The rooms, and the arrows between them (held by ``tests/test_architecture.py``)::

      __init__.py  (ComfyUI's door)            runtime/__main__.py  (the command line's door)
           │                                        │
           ▼                                        ▼
         nodes/ ────── the catalog, as a value ──► cli ──► graph ──► errors
           │                                        └────► packs, store, host, hardware, bench, models
           ▼
      upscale ──► models, images, engines, hardware     video     report ──► metrics
           └────────┬────────────────────────────┴─────────┘
                    ▼
                 frames ──► errors

* ``errors``    everything that can go wrong, on one screen.
* ``host``      the questions that have different answers in ComfyUI and on a command line.
* ``whole``     files that have their name when they are whole.
* ``frames``    the values all rooms share: sizes, regions, the one place where axes and depths change.
* ``graph``     a workflow file becomes a prompt, a list of problems, a plan, a run. Standard library and networkx only.
* ``store``     results of nodes on disk, for ``run --cache``.
* ``packs``     other people's ComfyUI packs, through stand-ins for the modules that they import.
* ``images``    picture files in and out: depth, alpha, profile, orientation.
* ``metrics``   colour drift, difference maps and artifacts, in numbers and in pictures.
* ``models``    which weights exist, where they are, whether they are what they claim, and loading them.
* ``hardware``  what this machine is, what it has free, and the settings that follow from it.
* ``engines``   weights as TensorRT engines: building them, and knowing a stale one.
* ``upscale``   tiles planned with integers, the loop, and one file per backend.
* ``video``     films in and out, one frame at a time: colour, time, segments, sound.
* ``report``    models compared on one picture: crops, sheet, page, words.
* ``bench``     the benchmark and the peers it is compared with.
* ``cli``       the command line.
"""
