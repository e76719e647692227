"""ComfyUI's types and contracts: wire values (``types``), built-in nodes (``builtin``), node packs (``custom_nodes``)."""
