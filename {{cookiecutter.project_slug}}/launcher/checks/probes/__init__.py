"""Programs that run inside the clean environment, each started by its path."""
