"""ComfyUI's built-in node ids, for the headless runner."""
