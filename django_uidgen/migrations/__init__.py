"""The worker table's migrations."""
