"""Two ways to run the same resource: processes here, or Vertex AI."""
