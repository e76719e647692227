"""Scores of external libraries: their table, which is light, and one module per library."""
