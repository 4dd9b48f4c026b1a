"""Published effects, run as experiments on simulated learners; one file per family, every one can fail."""
