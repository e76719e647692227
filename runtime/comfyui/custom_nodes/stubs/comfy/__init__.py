"""``comfy``: the parts of ComfyUI's engine that image packs need."""
