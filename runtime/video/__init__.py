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
* ``journal``   what was asked and what is done, so that a killed run goes on; ``places`` finds where it was.
* ``join``      segments to a film; ``tracks`` copies sound and subtitles, ``attachments`` covers and fonts.
* ``sequence_write``  ``FrameStream`` -> numbered pictures.

On the wire: ``value`` is ComfyUI's VIDEO, ``from_comfyui`` takes any other pack's; ``like_comfyui`` and its neighbours do what
ComfyUI's own nodes do.

Below them, for reading: ``container`` and ``truncation`` (what a file is, and whether all of it is there), ``decode`` (exact
places, broken packets), ``clock`` (of recordings, which may jump), ``timing``, ``excerpt``, ``deinterlace``, ``pixels_in``,
``chroma`` and ``siting`` (to R'G'B'), ``orientation``, ``hdr``, ``prefetch`` (the thread that works ahead); for writing:
``pixels_out``, ``muxer``, ``matroska`` (the shape of pixels), ``space``, ``refusal``; for both: ``colour_codes`` (H.273).
"""
