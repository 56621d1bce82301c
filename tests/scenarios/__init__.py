"""Tests of what befalls a project: forks, clocks, outages, crashes, moves."""
