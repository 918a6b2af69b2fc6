"""From job.toml to the resource that is run. Pure: no files but the catalog, no network, no clock."""
