"""Serving: a bundle behind HTTP, with the people in charge; imports neither torch nor pandas nor mlflow."""
