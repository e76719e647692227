"""What ``auto`` means for backend and precision: candidates, a trial, and the cache of its results."""
