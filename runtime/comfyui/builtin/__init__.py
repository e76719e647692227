"""The engine behind ComfyUI's own node ids for the headless runner."""
