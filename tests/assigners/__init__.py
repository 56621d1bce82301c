"""Tests of where worker ids come from."""
