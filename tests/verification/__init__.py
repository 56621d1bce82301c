"""Tests of the model and of the soak."""
