"""Which one: a yaml for every constructor."""
