"""What must be well before a training: one check a line, with its cure."""
