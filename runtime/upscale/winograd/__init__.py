"""3x3 convolutions in fp32 with a quarter of the products: Winograd's minimal filtering, compiled when a run begins."""
