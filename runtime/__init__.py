"""The engine of Upscale8K. It knows no node; only ``comfyui`` knows ComfyUI. This file holds no code: every import runs it.

The entry points are ``__init__.py`` of the pack (ComfyUI) and ``__main__.py`` (command line). ``tests/test_architecture.py``
lists which package may import which, and which load without torch, numpy and av::

    cli -> nodes -> bench -> tune, report, comfyui, distributed -> upscale, video -> trt, metrics -> images, models -> media

Root modules, which every package may import:

* ``api``           the functions of ``from upscale8k import ...``; the only root module above all packages.
* ``errors``        every error of the project, with exit codes.
* ``host``          what ComfyUI and the command line answer differently.
* ``progress``      progress, messages and cancellation.
* ``paths``         paths of the pack, of caches and of workflows.
* ``file_types``    file name suffixes.
* ``atomic_write``  files that appear complete or not at all.
* ``file_lock``     locks between processes.
* ``checksum``      hashes of files.
* ``bootstrap``     imports the checkout as package ``upscale8k``.

Packages:

* ``media``         shared values: sizes, regions, tile spans, the sRGB curve, video streams.
* ``graph``         workflow files: read, convert, check, plan, execute.
* ``result_cache``  node results on disk, for ``run --cache``.
* ``models``        find, verify, download, convert and load weights.
* ``hardware``      this machine, its free memory, and recommended settings.
* ``trt``           TensorRT engines: build, cache, verify.
* ``upscale``       tiles, backends, and what ``auto`` selects.
* ``images``        image files: depth, alpha, color profile, metadata.
* ``video``         videos and image sequences: read, color conversion, write, resume.
* ``distributed``   one video made by several processes or machines.
* ``comfyui``       ComfyUI's types, its built-in nodes, and custom nodes of other authors.
* ``metrics``       color drift, difference maps, artifacts, scores.
* ``report``        models compared on crops: sheet, page, text.
* ``tune``          what is wrong with an image or a video, and the settings against it.
* ``bench``         benchmarks, and the peers they compare with.
* ``cli``           the command line; ``entry`` is ``python -m upscale8k``.
"""
