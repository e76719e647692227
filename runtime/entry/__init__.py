"""``python -m upscale8k``: the search path of the package ends here, because the top level holds no further file."""
