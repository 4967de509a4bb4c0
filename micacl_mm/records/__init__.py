"""Runs: their records, config hashes, statistics and result rows."""
