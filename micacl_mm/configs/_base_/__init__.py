"""Fragments: runtime, models, data sets and schedules."""
