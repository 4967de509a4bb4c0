"""The frames of a set in one file, see docs/packs.md."""

from .fitting import fit_pack
from .frame_pack import FramePack
from .verification import verify_pack
from .writing import pack_frames

__all__ = ['FramePack', 'fit_pack', 'pack_frames', 'verify_pack']
