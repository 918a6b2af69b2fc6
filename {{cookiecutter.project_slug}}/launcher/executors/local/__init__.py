"""Runs a CustomJob as processes on this machine."""
