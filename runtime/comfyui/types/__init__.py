"""ComfyUI's IMAGE and VIDEO values, to and from ours."""
