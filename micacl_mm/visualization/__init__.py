"""Pictures of runs and of committed rows; `micacl plot` makes them."""
