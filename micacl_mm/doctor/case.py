"""What is examined, and what has become known of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:  # the doctor also runs where these cannot be imported
    from mmengine.config import Config
    from torch import nn

    from micacl_mm.datasets.splits import SplitRow

    from .clip_files import ClipFiles
    from .clip_report import ClipReport

LOADERS = ('train', 'val', 'test')


@dataclass
class Case:
    """A machine, and perhaps a config with its data.

    The early checks fill in what the later ones look at.

    Attributes:
        options (argparse.Namespace): The command line.
        broken (BaseException, optional): Why the package cannot be imported.
        config (Config, optional): That of the command line.
        model (nn.Module, optional): Built from it.
        datasets (dict[str, list]): By loader; several if concatenated.
        rows (dict): Rows of the split files by variant (fold or subset) and
            split.
        clips (list[ClipFiles]): All clips of all loaders that are there, each
            once.
        absent (dict[str, str]): Loader of each clip that is not, by path.
        reports (list[ClipReport], optional): Of the clips that were decoded.
        samples (dict[str, Any]): What the pipeline makes of a clip, by
            loader.
    """

    options: argparse.Namespace
    broken: Optional[BaseException] = None
    config: Optional[Config] = None
    model: Optional[nn.Module] = None
    datasets: dict[str, list] = field(default_factory=dict)
    rows: dict[tuple[Any, str], list[SplitRow]] = field(default_factory=dict)
    clips: list[ClipFiles] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    reports: Optional[list[ClipReport]] = None
    samples: dict[str, Any] = field(default_factory=dict)

    @property
    def work_dir(self) -> Path:
        """Where a training would write."""
        given = self.options.work_dir
        given = given or (self.config and self.config.get('work_dir'))
        if given:
            return Path(given)
        name = Path(self.options.config).stem if self.options.config else ''
        return Path('work_dirs', name)

    def loaders(self) -> Iterator[tuple[str, dict]]:
        """Name and settings of each loader that the config has."""
        for name in LOADERS:
            loader = self.config and self.config.get(f'{name}_dataloader')
            if loader:
                yield name, loader

    def built(self) -> Iterator[tuple[str, Any]]:
        """Loader and data set, without wrappers."""
        for name, datasets in self.datasets.items():
            for dataset in datasets:
                yield name, dataset

    def pipelines(self) -> Iterator[tuple[str, list[dict]]]:
        """Loader and settings of the transforms of each of its data sets."""
        for name, loader in self.loaders():
            for dataset in inner_datasets(loader.get('dataset')):
                steps = dataset.get('pipeline') or []
                yield name, [{**step, 'type': kind(step)} for step in steps]


def kind(settings: Optional[dict]) -> str:
    """Name of the class that settings are of, '' if they do not say.

    In a pure-Python config the class itself stands there.
    """
    found = (settings or {}).get('type') or ''
    return getattr(found, '__name__', str(found).rsplit('.', 1)[-1])


def inner_datasets(dataset: Optional[dict]) -> Iterator[dict]:
    """Settings of all data sets within wrappers."""
    if not dataset:
        return
    within = [dataset['dataset']] if 'dataset' in dataset else []
    within += dataset.get('datasets') or []
    if not within:
        yield dataset
    for part in within:
        yield from inner_datasets(part)
