"""Pictures through a model in tiles. Promises: a tiled picture is the untiled one (exactly from the model's exact halo on), one
buffer for the result, finished tiles survive a lack of memory, and the person is told of everything that was done differently.

* ``batch``         ComfyUI's IMAGE in, ComfyUI's IMAGE out: what the node calls.
* ``image``         the loop over one picture.
* ``target``        what size is wanted, and how many passes lead there.
* ``tiles``         where a picture is cut: integers only, imports neither torch nor numpy.
* ``budget``        which tile to use when nobody says; ``memory`` what there is, ``device`` where and in which precision.
* ``merge``, ``canvas``, ``resample``   a tile's way into the result, through one exact reduction where that is needed.
* ``alpha``         what may come out at the edges of transparency.
* ``colour_fix``    takes away the colour drift that a model added.
* ``backends``      what runs a model, one file each; ``allocator`` makes the CPU's faster.
* ``like_comfyui``  ComfyUI's own image nodes, pixel for pixel; ``resize_like_comfyui`` those that resize.
"""
