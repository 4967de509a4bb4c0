"""MMAction2's ResNet3d with the weights of torchvision."""

import re
from collections.abc import Mapping
from typing import Any, Optional

import torch
from mmaction.models import backbones
from mmengine.runner import CheckpointLoader
from torch import nn

from .checkpoints import refuse_misfits

#: r3d_18 on Kinetics-400; the name ends in the start of its SHA-256.
K400_URL = 'https://download.pytorch.org/models/r3d_18-b3b3357e.pth'
_RULES = (
    (r'^stem\.0\.', 'conv1.conv.'),
    (r'^stem\.1\.', 'conv1.bn.'),
    (r'\.conv([12])\.0\.', r'.conv\1.conv.'),
    (r'\.conv([12])\.1\.', r'.conv\1.bn.'),
    (r'\.downsample\.0\.', '.downsample.conv.'),
    (r'\.downsample\.1\.', '.downsample.bn.'),
)
_CURE = (
    "give torchvision's r3d_18, or a checkpoint of a ResNet3d of these sizes; "
    'checkpoints of whole recognizers go to load_from'
)


class ResNet3d(backbones.ResNet3d):
    """MMAction2's ResNet3d that loads torchvision's ``r3d_18`` as it is.

    The layers are those of MMAction2. What is new: parameters by torchvision's
    names are renamed as they are loaded, ``pretrained='k400'`` downloads
    torchvision's Kinetics-400 weights and verifies their checksum, and a
    checkpoint that fills less than half of the parameters is refused.

    In a config its type is ``'micacl_mm.ResNet3d'``; arguments are those of
    MMAction2's class. ``configs/_base_/models/r3d18.py`` is r3d_18.

    Raises:
        ValueError: From :meth:`init_weights`, if ``pretrained`` does not fit.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register_load_state_dict_pre_hook(_rename)

    def init_weights(self, pretrained: Optional[str] = None) -> None:
        """Initialize weights, from ``pretrained`` if given."""
        with refuse_misfits(self, _CURE):
            super().init_weights(pretrained)


def _rename(_: nn.Module, state_dict: dict, prefix: str, *__: Any) -> None:
    """Give torchvision's parameters the names that MMAction2 uses."""
    if f'{prefix}stem.0.weight' not in state_dict:
        return
    for name in [n for n in state_dict if n.startswith(prefix)]:
        renamed = name.removeprefix(prefix)
        for pattern, replacement in _RULES:
            renamed = re.sub(pattern, replacement, renamed)
        state_dict[prefix + renamed] = state_dict.pop(name)


@CheckpointLoader.register_scheme('k400$', force=True)
def _download(
    _: str, map_location: Optional[str] = None, logger: str = 'current'
) -> Mapping[str, torch.Tensor]:
    """Load K400_URL, from torch's cache after the first time."""
    return torch.hub.load_state_dict_from_url(
        K400_URL, map_location=map_location, check_hash=True, weights_only=True
    )
