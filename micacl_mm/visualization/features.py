"""Bag features: what enters the classification of a trained recognizer."""

import copy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmaction.apis import init_recognizer
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner, load_checkpoint
from mmengine.utils import track_iter_progress
from torch import Tensor, nn
from torch.utils.data import DataLoader

from micacl_mm.models.bag import Features, flatten
from micacl_mm.utils.files import replacing


class BagFeatures(NamedTuple):
    """Features of the N videos of a split.

    Attributes:
        features (np.ndarray): (N, C) float32.
        labels (np.ndarray): True classes, (N,) integers.
        classes (list[str]): Names of the classes.
        source (str): Where in the model the features were taken.
    """

    features: np.ndarray
    labels: np.ndarray
    classes: list[str]
    source: str

    def save(self, path: Path) -> Path:
        """Write an ``.npz`` with all of it, whole or not at all."""
        with replacing(path) as part, part.open('wb') as file:
            np.savez_compressed(file, **self._asdict())
        return path


def final_layer(model: nn.Module) -> tuple[nn.Module, str]:
    """Find the module whose input is the feature of a video.

    That is the linear layer with as many outputs as classes. Heads without
    one, or with several (TRNHead), give the features that enter the head.

    Returns:
        tuple[nn.Module, str]: The module, and its name in the model.
    """
    head = model.cls_head
    found = [
        (layer, f'cls_head.{name}')
        for name, layer in head.named_modules()
        if isinstance(layer, nn.Linear)
        and layer.out_features == getattr(head, 'num_classes', None)
    ]
    return found[0] if len(found) == 1 else (head, 'cls_head')


def collect_features(cfg: Config, checkpoint: Path) -> BagFeatures:
    """Run a checkpoint over the test split of its config, without chance.

    Args:
        cfg (Config): Config of the run; its ``test_dataloader`` is run.
        checkpoint (Path): Weights, which must fit exactly.

    Raises:
        RuntimeError: The checkpoint does not fit the model.
        ValueError: The videos have no single label.
    """
    cfg = copy.deepcopy(cfg)
    model = init_recognizer(cfg, device=get_device())
    load_checkpoint(model, str(checkpoint), map_location='cpu', strict=True)
    loader = Runner.build_dataloader(cfg.test_dataloader, seed=0)
    return features_of(model, loader)


def features_of(model: nn.Module, loader: DataLoader) -> BagFeatures:
    """Collect the features of all videos that a loader gives.

    Where a video has several (crops, or the segments of TSMHead, which
    averages behind the layer) their mean is taken.

    Args:
        model (nn.Module): A recognizer in eval mode.
        loader (DataLoader): Of a data set with ``metainfo``.

    Raises:
        RuntimeError: The test passes the final layer by.
        ValueError: The videos have no single label.
    """
    layer, source = final_layer(model)
    taken, features, labels = [], [], []
    hook = layer.register_forward_pre_hook(
        lambda _, inputs: taken.append(_vectors(layer, inputs[0]))
    )
    try:
        for batch in track_iter_progress((loader, len(loader))):
            with torch.no_grad():
                model.test_step(batch)
            truth = [sample.gt_label for sample in batch['data_samples']]
            features.append(_per_video(taken, len(truth)))
            labels += truth
            taken.clear()
    finally:
        hook.remove()
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
        f'input of {source}',
    )


def _vectors(layer: nn.Module, x: Features) -> Tensor:
    """One vector a row of what enters the layer, (rows, C)."""
    if isinstance(layer, nn.Linear):  # (rows, ..., C)
        x = x.reshape(len(x), -1, layer.in_features).mean(dim=1)
    else:
        x = flatten(x)
    return x.float().cpu()


def _per_video(taken: list[Tensor], videos: int) -> Tensor:
    """Join what one batch gave, videos * views rows, to (videos, C)."""
    if not taken:
        raise RuntimeError(
            'features: the layer was not called in the test; test without '
            'fcn_test, or plot with --features none'
        )
    rows = torch.cat(taken)  # (videos * views, C), views fastest
    return rows.unflatten(0, (videos, -1)).mean(dim=1)
