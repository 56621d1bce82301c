"""Databases that stop, hang, forget, refuse to write, or answer into the void."""
