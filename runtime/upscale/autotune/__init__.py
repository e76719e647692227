"""What ``auto`` means for backend and precision: a table, and one check of accuracy."""
