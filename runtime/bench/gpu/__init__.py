"""``bench gpu``: what is correct and what is fast on an NVIDIA GPU."""
