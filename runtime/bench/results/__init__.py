"""The values of the benchmark of models, and the files that show them."""
