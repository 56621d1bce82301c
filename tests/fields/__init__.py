"""Tests of the fields, on each database."""
