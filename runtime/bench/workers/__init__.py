"""The worker processes of the benchmarks, one per run."""
