"""One measure of artifacts per module; ``metrics.artifacts`` combines them."""
