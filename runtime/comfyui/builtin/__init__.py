"""What ComfyUI 0.30's own nodes compute, bit for bit, for the headless runner: images, videos, files."""
