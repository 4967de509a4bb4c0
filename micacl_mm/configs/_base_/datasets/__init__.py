"""Data sets with their pipelines and loaders."""
