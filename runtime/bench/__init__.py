"""Time and memory, measured against the peers in one process tree, in turn. Promise: the same weights, picture and threads for
all, every run a fresh process, medians and their ratio printed, losses included.

* ``image``  one picture: ComfyUI's own upscaling node and ours.
* ``child``  what each process of it runs; a script that knows both houses.

May enter: ``errors`` and ``models`` (to find the weights).
"""
