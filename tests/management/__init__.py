"""Tests of the management command."""
