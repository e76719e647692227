"""TensorRT engines: built from a model or an ONNX file, kept, recognised again, and carried on the wire.

Promises: an engine is used only while its file is whole and everything that it was built from and for is as it was; anything
else is told in a sentence and built anew. One adapter serves TensorRT and TensorRT for RTX; neither is imported before it is
needed.

* ``stamp``    what an engine was built from and for, in a file beside it; what differs from what is wanted.   light
* ``shapes``   the sizes that an engine takes.                                                             light
* ``target``   the GPUs that it is for.                                                                    light
* ``flavour``  which TensorRT is installed.                                                                light
* ``source``   a model or an ONNX file, as the builder needs it.
* ``build``    the builder: strongly typed, with progress, and stopped when the person says so.
* ``obtain``   the engine that is wanted: kept from before, or built now.
* ``wanted``   what the node calls: a model in, the same model with its engine out.
* ``wire``     an engine travels on the UPSCALE_MODEL that it was made from.
* ``session``  an engine at work on a GPU.
"""
