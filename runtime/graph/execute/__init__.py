"""Plan and run a prompt: order, lazy inputs, expansion, cache keys, events."""
