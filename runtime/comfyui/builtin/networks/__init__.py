"""Networks of ComfyUI's built-in nodes that run without a diffusion model, in the layout of their released weights."""
