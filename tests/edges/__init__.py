"""Tests of JSON where it is used: in a browser, and by readers of the schema."""
