"""Raw clips to folders of face crops."""

from .crop_set import crop_set
from .settings import CropSettings
from .sources import LAYOUTS

__all__ = ['LAYOUTS', 'CropSettings', 'crop_set']
