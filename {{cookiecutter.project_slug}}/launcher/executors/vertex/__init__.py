"""Sends a job to Vertex AI and follows it."""
