"""What makes the networks fast in torch: patches, fused layers, mixed precision, CUDA graphs."""
