"""Plan and run a prompt: order, lazy inputs, expansion, cached results, events."""
