"""Tests of the endpoints of the package."""
