"""Measures speed and memory against what one would pick instead.

Each part is a module with ``measure(options)``; :mod:`.parts` lists them,
``tools/dev/benchmark`` runs them, docs/speed.md shows the figures.
"""
