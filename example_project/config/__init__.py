"""Settings, addresses and entry points of the example project."""
