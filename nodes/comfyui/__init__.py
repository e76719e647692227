"""The only code that imports ComfyUI: host, routes, previews."""
