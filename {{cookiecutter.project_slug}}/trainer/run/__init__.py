"""A process and its outputs. No machine learning, and quick to import."""
