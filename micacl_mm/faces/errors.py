"""What can be wrong with a clip of faces."""


class NoFaceError(ValueError):
    """A clip, or a frame that must have one, shows no face."""
