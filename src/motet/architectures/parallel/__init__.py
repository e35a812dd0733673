"""Parallel architectures: tasks depend on nothing of each other but the layers they share."""
