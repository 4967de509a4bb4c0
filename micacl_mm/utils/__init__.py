"""Helpers of several subpackages."""
