"""Everything that speaks ComfyUI's types and contracts."""
