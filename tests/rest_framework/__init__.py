"""Tests that need Django REST framework."""
