"""What looks for a duplicate by other means than tests: a model, and a soak."""
