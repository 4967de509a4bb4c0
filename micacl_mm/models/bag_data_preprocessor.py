"""Bags of instances, joined again for models that know no bags."""

from mmaction.models.data_preprocessors import ActionDataPreprocessor
from mmaction.utils import SampleList
from torch import Tensor

from micacl_mm.errors import check_choice, check_count
from micacl_mm.registry import MODELS


@MODELS.register_module()
class BagDataPreprocessor(ActionDataPreprocessor):
    """Gives a model of one clip, or of single frames, the frames of a bag.

    So models with and without instances are compared on the same pipeline,
    that is on the same frames. The M instances of L frames that a video was
    cut into, one after the other, are joined in their order; the crops of
    multi-crop testing stay apart. Instances that overlap would repeat frames:
    leave ``instance_stride`` of :class:`SampleInstances` alone.

    Args:
        view (str): ``'clip'`` for Recognizer3D, one clip of M * L frames, or
            ``'frames'`` for Recognizer2D.
        num_instances (int): M. Defaults to 4.
        format_shape (str): Form of what comes in, always ``'NCTHW'``.
            Defaults to ``'NCTHW'``.
        **kwargs: ``mean``, ``std`` and the other arguments of
            ActionDataPreprocessor.

    Shapes:
        Videos (crops * M, C, L, H, W), N of them, become
        (N, crops, C, M * L, H, W) or (N, crops * M * L, C, H, W).
    """

    def __init__(
        self,
        view: str,
        num_instances: int = 4,
        format_shape: str = 'NCTHW',
        **kwargs,
    ) -> None:
        check_choice('BagDataPreprocessor', ('clip', 'frames'), view=view)
        check_count('BagDataPreprocessor', num_instances=num_instances)
        if format_shape != 'NCTHW':
            raise ValueError(
                "BagDataPreprocessor: format_shape must be 'NCTHW', got "
                f'{format_shape!r}; instances are clips in either view, '
                "end the pipeline by FormatShape(input_format='NCTHW')"
            )
        super().__init__(format_shape=format_shape, **kwargs)
        self.view = view
        self.num_instances = num_instances

    def preprocess(
        self,
        inputs: list[Tensor],
        data_samples: SampleList,
        training: bool = False,
    ) -> tuple[Tensor, SampleList]:
        """Normalise and blend as ever, then join."""
        inputs, data_samples = super().preprocess(
            inputs, data_samples, training
        )
        return self._join(inputs), data_samples

    def _join(self, inputs: Tensor) -> Tensor:
        size = self.num_instances
        if inputs.dim() != 6 or inputs.shape[1] % size:
            raise ValueError(
                'BagDataPreprocessor: videos must be of shape (crops * '
                f'{size}, C, L, H, W), got {tuple(inputs.shape[1:])}; make '
                "num_instances and the pipeline's SampleInstances agree and "
                "end it by FormatShape(input_format='NCTHW')"
            )
        bags = inputs.unflatten(1, (-1, size))  # (N, crops, M, C, L, H, W)
        if self.view == 'clip':
            return bags.transpose(2, 3).flatten(3, 4)  # (N, crops, C, M*L, ..)
        return bags.transpose(3, 4).flatten(1, 3)  # (N, crops*M*L, C, H, W)
