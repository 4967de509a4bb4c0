"""Look into a trained MICACL: graph, weights, gain, gradients, positives.

Prints what GEIIM and WIAN have learned and, class by class over training
batches, how hard each loss pulls at the bag feature of a video (norm of its
gradient there), how many others of its class a video meets in its batch, and
how often none.

Then, class by class on the test split: the recall, the recall with the scores
divided by the classes' shares of the training videos (adjusted), and the area
under the ROC curve of the class against the rest (AUC), which no such factor
moves. A rare class with a recall of 0 and a high AUC is ranked well, but
always below a frequent one.

Usage: python tools/dev/inspect_parts.py CONFIG CHECKPOINT
           [--batches 20] [--data-root DIR] [--fold 1] [--cfg-options K=V ...]

Give the --cfg-options of the training too: what is measured is the loss of
this config, whatever the checkpoint was trained with.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from scipy.stats import mannwhitneyu
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from micacl_mm import GEIIM, WIAN, BaseBagNeck
from micacl_mm.cli.launch import limit_threads
from micacl_mm.hooks.class_counts_hook import count_classes
from micacl_mm.options import take_options
from micacl_mm.registry import MODELS


def parse_args() -> argparse.Namespace:
    """Read the command line; our data options go to the environment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('--batches', type=int, default=20)
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    args = parser.parse_args(take_options(sys.argv[1:]))
    if args.batches < 1:
        parser.error(f'--batches must be at least 1, got {args.batches}')
    for path in (args.config, args.checkpoint):
        if not Path(path).is_file():
            parser.error(f'there is no file {path}')
    return args


def pulls(model: nn.Module, batch: dict, bags: list) -> dict[str, Tensor]:
    """Norm of each loss's gradient at the bag feature, (B,) each."""
    bags.clear()
    data = model.data_preprocessor(batch, training=True)
    losses = model(**data, mode='loss')
    feature = bags[-1].features  # (B, M, C), of the whole neck
    norms = {}
    for name, loss in losses.items():
        if 'loss' in name:
            (grad,) = torch.autograd.grad(loss, feature, retain_graph=True)
            norms[name] = grad.flatten(1).norm(dim=1)
    return norms


def print_parts(model: nn.Module, weights: list[Tensor]) -> None:
    """Print adjacency, instance weights and gain."""
    for part in model.neck.modules():
        if isinstance(part, GEIIM):
            print('adjacency of GEIIM, a row for each receiver:')
            for row in part.adjacency().tolist():
                print('   ', '  '.join(f'{value:.3f}' for value in row))
        if isinstance(part, WIAN) and part.residual != 'none':
            print(f'gain of WIAN: {part.gain.item():+.4f}')
    if weights:
        ordered = torch.cat(weights).sort(dim=1, descending=True)[0].mean(0)
        text = '  '.join(f'{value:.3f}' for value in ordered.tolist())
        print(f'instance weights, mean from largest to smallest: {text}')


def print_classes(classes: list[str], rows: dict[int, list[dict]]) -> None:
    """Print a line of means for each class."""
    columns = list(next(iter(rows.values()))[0])
    print('class     videos', *(f'{name:>16}' for name in columns))
    for label, seen in sorted(rows.items()):
        means = (sum(row[c] for row in seen) / len(seen) for c in columns)
        print(
            f'{classes[label]:<9} {len(seen):>6}',
            *(f'{value:>16.5f}' for value in means),
        )


def test_scores(model: nn.Module, loader: DataLoader) -> tuple:
    """Scores (N, K) and labels (N,) of the test split."""
    scores, labels = [], []
    model.eval()
    for batch in loader:
        with torch.no_grad():
            samples = model.test_step(batch)
        scores += [sample.pred_score.cpu() for sample in samples]
        labels += [sample.gt_label.cpu().view(1) for sample in samples]
    return torch.stack(scores), torch.cat(labels)


def recalls(scores: Tensor, labels: Tensor) -> Tensor:
    """Recall of each class in percent, (K,); nan without videos."""
    found, size = scores.argmax(dim=1), scores.shape[1]
    hits = torch.bincount(labels[found == labels], minlength=size)
    return 100 * hits / torch.bincount(labels, minlength=size)


def areas(scores: Tensor, labels: Tensor) -> Tensor:
    """AUC of each class against the rest in percent, (K,), else nan."""
    found = []
    for k, column in enumerate(scores.T):
        own, rest = column[labels == k].numpy(), column[labels != k].numpy()
        pairs = len(own) * len(rest)
        wins = mannwhitneyu(own, rest).statistic if pairs else float('nan')
        found.append(100 * wins / max(1, pairs))
    return torch.tensor(found)


def print_test(classes: list[str], columns: list[Tensor]) -> None:
    """Print a line for each class, and the mean without absent ones."""
    print('test       recall %  adjusted     AUC %')
    lines = [*zip(classes, *columns, strict=True)]
    lines.append(('mean', *(column.nanmean() for column in columns)))
    for name, *values in lines:
        print(f'{name:<9}', *(f'{value:>9.2f}' for value in values))


def class_shares(dataset: Dataset, size: int) -> Tensor:
    """Share of each class in a training set, (K,); absent ones count 1."""
    counts = torch.tensor(count_classes(dataset, size)).clamp(min=1)
    return counts / counts.sum()


def look_at_training(
    model: nn.Module, loader: DataLoader, batches: int
) -> tuple:
    """Instance weights (B, M) of batches, and a row for each video."""
    bags, weights, rows = [], [], defaultdict(list)
    model.neck.register_bag_hook(lambda _, out: bags.append(out))
    for part in model.neck.modules():
        if isinstance(part, GEIIM) and part.weight_source != 'none':
            part.register_bag_hook(
                lambda _, out: weights.append(out.weights.detach())
            )
    model.train()
    for _, batch in zip(range(batches), loader, strict=False):
        labels = torch.cat([s.gt_label for s in batch['data_samples']])
        norms = pulls(model, batch, bags)
        for index, label in enumerate(labels.tolist()):
            others = (labels == label).sum().item() - 1
            row = {name: norms[name][index].item() for name in norms}
            row.update(others=others, alone=float(others == 0))
            rows[label].append(row)
    return weights, rows


def main() -> None:
    """Print the report."""
    args = parse_args()
    limit_threads()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    if not isinstance(getattr(model, 'neck', None), BaseBagNeck):
        sys.exit(f'{args.config}: its model has no neck of ours to look into')
    load_checkpoint(model, args.checkpoint, map_location='cpu', strict=True)
    train = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    test = Runner.build_dataloader(cfg.test_dataloader, seed=0)
    classes = train.dataset.metainfo['classes']
    # First, for training batches move the statistics of BatchNorm.
    scores, labels = test_scores(model, test)
    shares = class_shares(train.dataset, len(classes))
    adjusted = recalls(scores / shares, labels)
    columns = [recalls(scores, labels), adjusted, areas(scores, labels)]
    weights, rows = look_at_training(model, train, args.batches)
    print_parts(model, weights)
    print_classes(classes, rows)
    print_test(classes, columns)


if __name__ == '__main__':
    main()
