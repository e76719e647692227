"""Encode, segment, journal, resume and mux a video."""
