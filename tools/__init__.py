"""What tests, verification and benchmarks share, and the scripts of the Makefile."""
