"""Bag features: what enters the classification of a trained recognizer."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.utils import track_iter_progress
from torch import Tensor, nn
from torch.utils.data import DataLoader

from micacl_mm.models.bag import Features, flatten
from micacl_mm.records.weights import check_classes
from micacl_mm.utils.files import replacing

from .loading import load_model


class BagFeatures(NamedTuple):
    """Features of the N videos of a split."""

    features: np.ndarray  # (N, C) float32
    labels: np.ndarray  # true classes, (N,) integers
    classes: list[str]
    source: str  # where in the model the features were taken

    def save(self, path: Path) -> Path:
        """Write an ``.npz`` with all of it, whole or not at all."""
        with replacing(path) as part, part.open('wb') as file:
            np.savez_compressed(file, **self._asdict())
        return path


def final_layer(model: nn.Module) -> tuple[nn.Module, str]:
    """Find the module whose input is the feature of a video.

    That is the linear layer with as many outputs as classes. Heads without
    one, or with several (TRNHead), give the features that enter the head.
    Returned with its name in the model.
    """
    head = model.cls_head
    found = [
        (layer, f'cls_head.{name}')
        for name, layer in head.named_modules()
        if isinstance(layer, nn.Linear)
        and layer.out_features == getattr(head, 'num_classes', None)
    ]
    return found[0] if len(found) == 1 else (head, 'cls_head')


@contextmanager
def watch_features(model: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what enters the final layer while a model predicts.

    Yields:
        list[Tensor]: (rows, C) of each call; see :func:`per_video`.
    """
    layer, _ = final_layer(model)
    taken: list[Tensor] = []
    hook = layer.register_forward_pre_hook(
        lambda _, inputs: taken.append(_vectors(layer, inputs[0]))
    )
    try:
        yield taken
    finally:
        hook.remove()


def _vectors(layer: nn.Module, x: Features) -> Tensor:
    """One vector a row of what enters the layer, (rows, C)."""
    if isinstance(layer, nn.Linear):  # (rows, ..., C)
        x = x.reshape(len(x), -1, layer.in_features).mean(dim=1)
    else:
        x = flatten(x)
    return x.float().cpu()


def per_video(taken: list[Tensor], videos: int) -> Tensor:
    """Join what one batch gave, (videos * views, C), to (videos, C).

    Where a video has several (crops, or the segments of TSMHead, which
    averages behind the layer) their mean is taken.

    Raises:
        RuntimeError: The prediction passed the final layer by.
    """
    if not taken:
        raise RuntimeError(
            'features: the layer was not called in the test; test without '
            'fcn_test, or plot with --features none'
        )
    rows = torch.cat(taken)  # (videos * views, C), views fastest
    return rows.unflatten(0, (videos, -1)).mean(dim=1)


def collect_features(cfg: Config, checkpoint: Path) -> BagFeatures:
    """Run a checkpoint, which must fit, over the test split of its config."""
    init_default_scope('mmaction')
    model, found = load_model(cfg, str(checkpoint))
    settings = copy.deepcopy(cfg.test_dataloader)
    loader = Runner.build_dataloader(settings, seed=0)
    check_classes(found.get('meta'), loader.dataset)
    return features_of(model.to(get_device()), loader)


def features_of(model: nn.Module, loader: DataLoader) -> BagFeatures:
    """Collect the features of all videos that a loader gives, in eval mode.

    Raises:
        RuntimeError: The test passes the final layer by.
        ValueError: The videos have no single label.
    """
    features, labels = [], []
    for batch in track_iter_progress((loader, len(loader))):
        with torch.no_grad(), watch_features(model) as taken:
            model.test_step(batch)
        truth = [sample.gt_label for sample in batch['data_samples']]
        features.append(per_video(taken, len(truth)))
        labels += truth
    if any(label.numel() != 1 for label in labels):
        raise ValueError(
            'features: each video must have one label, got several; there is '
            'no one colour for it'
        )
    labels = torch.cat(labels).cpu().numpy()
    names = loader.dataset.metainfo.get('classes') or range(labels.max() + 1)
    return BagFeatures(
        torch.cat(features).numpy(),
        labels,
        [str(name) for name in names],
        f'input of {final_layer(model)[1]}',
    )
