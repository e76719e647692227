"""Films in and out, one frame at a time. Promises: memory does not grow with a film's length; frames keep the times, and
colours the meaning, that the source gives them; a frame is converted once each way and rounded; what cannot be read or
written is a sentence, and nothing half-written stands under its final name.

Reading:

* ``probe``     a film's size, times, colour and fingerprint, before it is read.
* ``read``      any film -> ``FrameStream``.
* ``sequence``  numbered pictures -> ``FrameStream``.

Writing:

* ``write``     ``FrameStream`` -> a film, with the source's sound, subtitles, chapters and tags.
* ``encoders``  which encoder makes what, and what each costs.
* ``segments``  closed pieces of the film, written one after the other.
* ``journal``   what was asked and what is done, so that a killed run goes on.
* ``join``      the pieces become one file, by stream copy.
* ``tracks``    packets of sound and subtitles, copied.

As ComfyUI does it:

* ``like_comfyui``  the VIDEO of ComfyUI's own nodes, its frames bit for bit and its files byte for byte; below it
  ``like_comfyui_decode`` and ``like_comfyui_encode``. ``like_comfyui`` is torch's only place here, beside ``value``.
* ``value``     a film on the VIDEO wire: a recipe that behaves as ComfyUI's own VIDEO does.

Below them, for reading: ``container`` and ``truncation`` (what a file is, and whether all of it is there), ``decode`` (exact
places, broken packets), ``timing``, ``excerpt``, ``deinterlace``, ``pixels_in``, ``chroma`` and ``siting`` (to R'G'B'),
``orientation``, ``hdr``, ``prefetch`` (the thread that works ahead); for both: ``colour_codes`` (H.273).

May enter: ``errors`` and ``frames``.
"""
