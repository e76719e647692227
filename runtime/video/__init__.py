"""Read and write videos, one frame at a time.

Memory does not grow with a video's length. Frames keep the source's times and color meaning; they are converted once each way
and rounded. A video that cannot be read or written is an error with a message, and no incomplete file has its final name.

* ``read``      any video file -> ``VideoStream``, with exact timestamps, trimming and deinterlacing.
* ``color``     Y'CbCr to R'G'B' and back: chroma siting, matrices, color tags of H.273.
* ``write``     ``VideoStream`` -> a video file: segments with a journal, joined with the source's audio, subtitles and tags.
* ``sequence``  numbered image files, read and written like a video.
"""
