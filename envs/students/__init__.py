"""Simulated learners, one file each."""
