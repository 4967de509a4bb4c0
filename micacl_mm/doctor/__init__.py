"""Checks of machine, installation, config and data before a training."""
