"""The learner: how people learn, answer and forget, and what may be known of it."""
