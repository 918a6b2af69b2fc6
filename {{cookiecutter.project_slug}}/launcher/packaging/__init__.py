"""The source distribution, and clean environments to install it in."""
