"""The verbs: train, evaluate, report, export, bench."""
