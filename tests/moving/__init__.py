"""The migrations of docs/moving.md: an integer primary key becomes one of UIDs."""
