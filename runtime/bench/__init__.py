"""Time and memory, measured against the peers in one process tree, in turn. Promise: the same weights, picture and threads for
all, every run a fresh process, medians and their ratio printed, losses included.

* ``image``  one picture: ComfyUI's own upscaling node and ours.
* ``child``  what each process of it runs; a script that knows both houses.
* ``models`` every model here against the clock: size, tile, precision, backend; ``cost`` seconds and memory, ``machine`` where.
  ``results`` its three files, of which ``table`` is the text and ``plot`` the picture.
* ``rivals`` one picture through everybody who can upscale it on a CPU; ``rivals_child`` each process of it;
  ``rivals_page`` and ``rivals_plot`` what is written of it, ``BENCHMARKS.md`` being the last time.
* ``gpu``    an NVIDIA GPU: our way and ComfyUI's.
* ``halo``   how wide a halo each architecture needs: error next to a cut, by halo.
"""
