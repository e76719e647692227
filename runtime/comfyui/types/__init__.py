"""Convert ComfyUI's IMAGE and VIDEO values to and from files and video streams."""
