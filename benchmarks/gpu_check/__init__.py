"""What only a GPU can show: whether batches arrive there unharmed, and whether training waits for them."""
