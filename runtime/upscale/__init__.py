"""Runs images and videos through a model in tiles.

A tiled result equals the untiled one (exactly, from the model's exact halo on), there is one buffer for the result, finished
tiles survive a lack of memory, and a message tells the user what was done differently.

* ``image_batch``, ``video``   what the nodes call: a ComfyUI IMAGE, or a stream of frames.
* ``resolved_settings``        what every ``auto`` becomes, decided once.
* ``tile_loop``                the loop over one image; ``frame_batching`` for small frames.
* ``target_size``              the requested size, and how many passes lead to it.
* ``tiles``                    where an image is cut: integers only, without torch and numpy.
* ``tile_size``, ``memory``, ``device``   the automatic tile, free memory, device and precision.
* ``output_buffer``, ``lanczos``          a tile's way into the result, through one exact reduction where necessary.
* ``alpha_clamp``, ``color_fix``          limits of alpha; removal of the color drift that a model adds.
* ``backends``                 what runs a model, one file each; ``autotune`` chooses, ``torch_optim`` makes torch fast.
"""
