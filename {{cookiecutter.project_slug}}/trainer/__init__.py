"""The training package: what travels to the cloud."""

__version__ = "0.1.0"
