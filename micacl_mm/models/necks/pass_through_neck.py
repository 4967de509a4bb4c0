"""A neck that changes nothing and carries a loss."""

from typing import Union

from torch import Tensor

from micacl_mm.registry import MODELS

from ..bag import Bag, Features, collect
from .base_bag_neck import BaseBagNeck, Losses, Truth


@MODELS.register_module()
class PassThroughNeck(BaseBagNeck):
    """Carries a loss for models that have no use for a neck.

    With one instance the backbone's output, whatever its form, reaches the
    head untouched, and the loss sees the mean of a video's pooled features.
    With more it is the plainest multi-instance model: the mean of the
    instances.

    Args:
        num_instances (int): M. Defaults to 1, also where Recognizer2D feeds
            several frames of a video.
        aux_loss (dict or nn.Module, optional): A loss on the bag feature,
            e.g. ``dict(type='MCCLLoss', ...)``.
        init_cfg (dict, optional): MMEngine's initialization config.
    """

    sets_weights = None

    def __init__(self, num_instances: int = 1, **kwargs) -> None:
        super().__init__(num_instances, **kwargs)

    @property
    def keeps_features(self) -> bool:
        """Whether the head gets the backbone's own output."""
        return self.num_instances == 1

    def process(self, bag: Bag) -> Bag:
        """Return the bag as it is."""
        return bag

    def forward(
        self, x: Union[Features, Bag], data_samples: Truth = None
    ) -> tuple[Union[Features, Tensor], Losses]:
        """See the base class; ``x`` itself is returned where M = 1."""
        if not self.keeps_features:
            return super().forward(x, data_samples)
        if not self.has_loss:
            return x, {}
        bag = collect(x, 1)
        if data_samples is not None:  # the frames of a video in Recognizer2D
            frames = max(1, len(bag.features) // len(data_samples))
            bag = collect(bag.features[:, 0], frames)
        return x, self.losses(bag, self.labels(bag, data_samples))
