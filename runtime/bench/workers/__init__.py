"""The processes that a benchmark measures, one per run."""
