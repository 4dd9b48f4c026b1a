"""Knowledge-tracing models, one file each."""
