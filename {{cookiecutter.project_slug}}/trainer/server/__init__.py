"""Predictions over HTTP as Vertex AI asks a container for them: requests, micro-batches, application, page."""
