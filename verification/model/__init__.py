"""A model of the lease protocol, and a program that tries every order of events."""
