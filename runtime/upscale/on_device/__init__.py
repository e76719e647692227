"""Frames of a video that stay in the memory of a device: only source pixels go up, only finished codes come down."""
