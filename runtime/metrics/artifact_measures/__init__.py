"""One measure of artifacts per module; ``metrics.artifacts`` puts them together."""
