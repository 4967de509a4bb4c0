"""Necks one after the other."""

from collections.abc import Sequence
from typing import Optional, Union

from mmaction.utils import ConfigType, OptConfigType
from mmengine.model import ModuleList
from torch import Tensor, nn

from micacl_mm.registry import MODELS

from ..bag import Bag, Features
from .base_bag_neck import BaseBagNeck, Losses, Truth


@MODELS.register_module()
class NeckChain(BaseBagNeck):
    """Chains necks and carries their losses.

    A list of necks in a config becomes MMEngine's Sequential, which cannot
    take ``data_samples``; this can. Bags and their instance weights go from
    neck to neck, so WIAN behind GEIIM gets GEIIM's instance dependency
    weights [paper]. Stock necks (TPN) may stand in front of the first neck
    on bags.

    Args:
        necks (Sequence[dict or nn.Module]): Configs or modules in the order
            of the data.
        num_instances (int): M of the first neck on bags; configs of its
            members need not repeat it. Defaults to 4 [paper].
        aux_loss (dict or nn.Module, optional): A loss on the final bag
            feature.
        init_cfg (dict, optional): MMEngine's initialization config.

    Examples:
        >>> neck = dict(
        ...     type='NeckChain',
        ...     necks=[
        ...         dict(type='GEIIM', in_channels=512),
        ...         dict(type='WIAN', in_channels=512),
        ...     ],
        ...     aux_loss=dict(type='MCCLLoss', num_classes=7),
        ... )
    """

    def __init__(
        self,
        necks: Sequence[Union[ConfigType, nn.Module]],
        num_instances: int = 4,
        aux_loss: Union[dict, nn.Module, None] = None,
        init_cfg: OptConfigType = None,
    ) -> None:
        super().__init__(num_instances, aux_loss, init_cfg)
        if not necks:
            raise ValueError('NeckChain: necks must name at least one neck')
        self.stock_necks, self.necks = ModuleList(), ModuleList()
        for neck in necks:
            self._append(neck)
        self.has_loss |= any(neck.has_loss for neck in self.necks)
        self._settle_weights()

    def _append(self, neck: Union[ConfigType, nn.Module]) -> None:
        """Add one member."""
        instances = 1 if self.aggregates else self.num_instances
        cls = neck.get('type') if isinstance(neck, dict) else type(neck)
        cls = MODELS.get(cls) if isinstance(cls, str) else cls
        known = isinstance(cls, type) and issubclass(cls, nn.Module)
        if not known or issubclass(cls, NeckChain):
            raise ValueError(
                'NeckChain: necks must be modules, or have the type of a '
                f'registered neck that is no chain, got {neck}'
            )
        on_bags = issubclass(cls, BaseBagNeck)
        if len(self.necks) and not on_bags:
            raise ValueError(
                f'NeckChain: {cls.__name__} is no neck on bags and must '
                'stand in front of those that are; move it forward'
            )
        if isinstance(neck, dict):
            default = dict(num_instances=instances) if on_bags else {}
            neck = MODELS.build({**default, **neck})
        if on_bags and neck.num_instances != instances:
            raise ValueError(
                f'NeckChain: {cls.__name__} gets bags of {instances} '
                f'instances but has num_instances={neck.num_instances}; set '
                'num_instances of the chain only'
            )
        (self.necks if on_bags else self.stock_necks).append(neck)

    @property
    def takes_maps(self) -> bool:
        """Whether stock necks come first."""
        return len(self.stock_necks) > 0

    def _settle_weights(self) -> None:
        """Tell who gets weights from in front and whose are of no use.

        A part that is of no use would get no gradient, which stops
        distributed training.
        """
        setter, in_use = None, True
        for neck in self.necks:
            if setter is not None and neck.uses_weights:
                neck.take_weights()
                in_use = True
            if neck.sets_weights is not None:
                if not in_use:
                    setter.drop_weights()
                setter = neck if neck.sets_weights else None
                in_use = setter is None
            # Its loss is taken on the weighted mean.
            in_use = in_use or neck.has_loss

    @property
    def aggregates(self) -> bool:
        """Whether a member makes one instance of a bag."""
        return any(neck.aggregates for neck in self.necks)

    def process(self, bag: Bag) -> Bag:
        """Run all necks on bags."""
        return self.advance(bag, None)[0]

    def advance(
        self, bag: Bag, labels: Optional[Tensor]
    ) -> tuple[Bag, Losses]:
        """Run all necks on bags and gather their losses."""
        losses, out = {}, bag
        for neck in self.necks:
            out, found = neck.advance(out, labels)
            self._merge(losses, found)
        self._merge(losses, self.losses(out, labels))
        return out, losses

    def forward(
        self, x: Union[Features, Bag], data_samples: Truth = None
    ) -> tuple[Tensor, Losses]:
        """See the base class; stock necks come first."""
        losses = {}
        for neck in self.stock_necks:
            if data_samples is None:  # the stock contract: no such argument
                x, found = neck(x)
            else:
                rows = len(x) if isinstance(x, Tensor) else len(x[0])
                clips = max(1, rows // len(data_samples))
                each = [s for s in data_samples for _ in range(clips)]
                x, found = neck(x, data_samples=each)
            self._merge(losses, found)
        x, found = super().forward(x, data_samples)
        self._merge(losses, found)
        return x, losses

    @staticmethod
    def _merge(losses: dict, found: dict) -> None:
        """Add ``found``; MMEngine would let one of two equal names win."""
        for name in losses.keys() & found.keys():
            raise ValueError(
                f'NeckChain: two losses are called {name!r} and one would '
                'hide the other; give one of them another loss_name'
            )
        losses.update(found)
