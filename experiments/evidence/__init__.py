"""What a log says about a policy that did not make it, and how far that can be trusted."""
