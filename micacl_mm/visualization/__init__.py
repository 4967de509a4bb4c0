"""Pictures of runs and of committed rows; tools/plot.py makes them."""
