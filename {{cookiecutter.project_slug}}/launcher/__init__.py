"""The developer's side: reads job.toml, checks and installs the package, and starts it. It never leaves this machine."""
