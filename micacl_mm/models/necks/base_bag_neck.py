"""What all necks on bags share."""

import warnings
from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Optional, Union

import torch
from mmaction.utils import OptConfigType, SampleList
from mmengine.model import BaseModule
from torch import Tensor, nn

from micacl_mm.errors import check_count
from micacl_mm.registry import MODELS

from ..bag import Bag, Features, collect, release

#: Losses by name, or functions of the class scores that give them.
Losses = dict[str, Union[Tensor, Callable[..., Tensor]]]
#: N samples with ``gt_label``, or their labels, (N,) or blended (N, K).
Truth = Union[SampleList, Tensor, None]


class BaseBagNeck(BaseModule, metaclass=ABCMeta):
    """A neck that takes a bag of instances and gives back one feature a bag.

    It follows the contract of MMAction2's recognizers: in training they call
    ``neck(x, data_samples=...)``, in prediction ``neck(x)``, and both times
    get features and a dict of losses. Subclasses say in :meth:`process` what
    becomes of a bag; a bag that still holds several instances at the end is
    averaged with its weights.

    Args:
        num_instances (int): M, the instances of one bag, equal to the clips
            that the pipeline samples from a video. Defaults to 4 [paper].
        aux_loss (dict or nn.Module, optional): A loss on the neck's bag
            feature, called with features (N, C) and labels, (N,) or blended
            (N, K), and logged under its ``loss_name``. Where it has a true
            attribute ``uses_scores``, it is also called with ``scores``, the
            head's logits (N, K). Defaults to None.
        init_cfg (dict, optional): MMEngine's initialization config.
    """

    #: Whether the bags that :meth:`process` returns carry instance weights;
    #: None where they keep what they had.
    sets_weights: Optional[bool] = False
    #: Whether :meth:`process` would use weights that come with the bags.
    uses_weights = False
    #: Whether :meth:`process` makes one instance of a bag.
    aggregates = False
    #: Whether the head gets the backbone's own output.
    keeps_features = False
    #: Whether necks that want the backbone's feature maps come first.
    takes_maps = False
    #: Size of the instance features that :meth:`process` takes; None for any.
    in_channels: Optional[int] = None

    def __init__(
        self,
        num_instances: int = 4,
        aux_loss: Union[dict, nn.Module, None] = None,
        init_cfg: OptConfigType = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        check_count(type(self).__name__, num_instances=num_instances)
        self.num_instances = num_instances
        if isinstance(aux_loss, dict):
            aux_loss = MODELS.build(aux_loss)
        self.aux_loss = aux_loss
        self.has_loss = aux_loss is not None
        name = self.loss_name
        if name == 'loss_cls' or (name and 'loss' not in name):
            raise ValueError(
                f'{type(self).__name__}: loss_name of the aux_loss must '
                "contain 'loss', or MMEngine would not train it, and not be "
                f"the head's 'loss_cls', which it would hide; got {name!r}"
            )

    @property
    def loss_name(self) -> Optional[str]:
        """Key of the auxiliary loss in the log; None without one."""
        if self.aux_loss is None:
            return None
        return getattr(self.aux_loss, 'loss_name', 'loss_aux')

    @abstractmethod
    def process(self, bag: Bag) -> Bag:
        """Turn a bag (N, M, C) into a bag (N, M', C')."""

    def take_weights(self) -> None:
        """Be told that weights come with the bags."""

    def drop_weights(self) -> None:
        """Be told that nobody uses the weights that this neck sets."""

    def advance(
        self, bag: Bag, labels: Optional[Tensor]
    ) -> tuple[Bag, Losses]:
        """Process a bag and, where labels are given, take the loss on it."""
        channels = bag.features.shape[-1]
        if self.in_channels not in (None, channels):
            raise ValueError(
                f'{type(self).__name__}: in_channels={self.in_channels}, but '
                f'the instance features are of size {channels}; set '
                f'in_channels={channels}'
            )
        out = self.process(bag)
        return out, self.losses(out, labels)

    def losses(self, bag: Bag, labels: Optional[Tensor]) -> Losses:
        """Return the auxiliary loss by its name; empty without labels.

        The head comes after the neck, so a loss that uses its scores is
        returned as a function of them, which the recognizer calls.
        """
        if self.aux_loss is None or labels is None:
            return {}
        loss = partial(self.aux_loss, bag.pooled(), labels)
        later = getattr(self.aux_loss, 'uses_scores', False)
        return {self.loss_name: loss if later else loss()}

    def forward(
        self, x: Union[Features, Bag], data_samples: Truth = None
    ) -> tuple[Tensor, Losses]:
        """Map backbone features to one feature a bag.

        Args:
            x (Tensor, Sequence or Bag): What the backbone returned for N * M
                clips, or bags, see :func:`micacl_mm.models.bag.collect`.
            data_samples (list[ActionDataSample] or Tensor, optional): N
                samples with ``gt_label``, or their labels, in training only.

        Returns:
            tuple[Tensor, dict]: features (N, C', 1, 1, 1), and the losses by
            name; one that uses the class scores is a function,
            ``losses[name](scores=logits)``.
        """
        bag = collect(x, self.num_instances)
        bag, losses = self.advance(bag, self.labels(bag, data_samples))
        return release(bag.pooled()), losses

    def labels(self, bag: Bag, data_samples: Truth) -> Optional[Tensor]:
        """Return labels, (N,) or blended (N, K); None in prediction."""
        name = type(self).__name__
        if data_samples is None:
            tracing = torch.compiler.is_compiling()
            if self.training and self.has_loss and not tracing:
                warnings.warn(
                    f'{name}: no labels in training mode, so the aux_loss is '
                    'left out; call neck(x, labels), or neck.eval() first',
                    stacklevel=3,
                )
            return None
        if len(data_samples) != len(bag.features):
            raise ValueError(
                f'{name}: {len(data_samples)} videos came as '
                f'{len(bag.features)} bags of num_instances='
                f'{self.num_instances}; set num_instances to the clips that '
                'the training pipeline samples from one video'
            )
        if isinstance(data_samples, Tensor):
            return data_samples.to(bag.features.device)
        labels = torch.stack([sample.gt_label for sample in data_samples])
        return labels.to(bag.features.device).squeeze(-1)
