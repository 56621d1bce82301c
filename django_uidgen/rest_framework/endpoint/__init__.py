"""The package's own API: mint UIDs, parse them, list the leases of worker ids."""
