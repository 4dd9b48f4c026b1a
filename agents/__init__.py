"""The chooser: from observation to probabilities."""
