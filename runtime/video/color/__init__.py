"""YUV to RGB and back, color tags and chroma siting."""
