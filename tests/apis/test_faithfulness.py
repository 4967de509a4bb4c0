"""Instance weights say what a trained model looks at, on drawn faces."""

import pytest
import torch
from mmengine.registry import init_default_scope
from torch import nn

from micacl_mm import WIAN, DFEWDataset, NeckChain
from micacl_mm.apis import explain, occlusion
from micacl_mm.synthetic import make_synthetic
from tests.models.helpers import samples

pytestmark = pytest.mark.slow

PIPELINE = [
    dict(type='SampleInstances', num_frames=8, instance_len=2, test_mode=True),
    dict(type='RawFrameDecode'),
    dict(type='Resize', scale=(16, 16), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
PIXELS = 2 * 16 * 16
GRAPH = dict(in_channels=32)
CHAIN = dict(in_channels=32, out_channels=64)
NECKS = {
    'weighted WIAN': lambda: WIAN(**CHAIN, residual='weighted'),
    'GEIIM + WIAN': lambda: NeckChain(
        [dict(type='GEIIM', **GRAPH), dict(type='WIAN', **CHAIN)]
    ),
}


class Model(nn.Module):
    """Two layers for each instance, a neck and a linear classifier."""

    def __init__(self, neck):
        super().__init__()
        self.embed = nn.Sequential(
            nn.Linear(PIXELS, 64),
            nn.ReLU(),
            nn.Linear(64, 32),
            nn.LayerNorm(32),
        )
        self.neck = neck
        self.fc = nn.LazyLinear(7)

    def forward(self, bags):
        x = self.embed(bags.flatten(0, 1))
        feats, _ = self.neck(x, data_samples=samples([0] * len(bags)))
        return self.fc(feats.flatten(1))

    def test_step(self, bags):
        answers = samples([0] * len(bags))
        scores = self(bags).softmax(1)
        for answer, score in zip(answers, scores, strict=True):
            answer.set_pred_score(score)
        return answers


def read(folder, split):
    """Brightness of each clip against its own mean, (N, 4, PIXELS)."""
    dataset = DFEWDataset(
        data_root=str(folder), fold=1, split=split, pipeline=PIPELINE
    )
    bags, labels = [], []
    for item in dataset:
        frames = item['inputs'].float().mean(1) / 50  # (4, 2, 16, 16)
        bags.append((frames - frames.mean((0, 1))).flatten(1))
        labels.append(item['data_samples'].gt_label)
    return torch.stack(bags), torch.cat(labels)


@pytest.fixture(scope='module')
def clips(tmp_path_factory):
    init_default_scope('mmaction')
    folder = tmp_path_factory.mktemp('faces')
    make_synthetic(
        folder, num_clips=300, size=32, difficulty='easy', folds=(1,)
    )
    return read(folder, 'train'), read(folder, 'test')


def trained(neck, bags, labels):
    torch.manual_seed(0)
    model = Model(neck)
    model(bags[:2])  # LazyLinear learns its size
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.05)
    for _ in range(20):
        for rows in torch.randperm(len(bags)).split(32):
            x = bags[rows] + 0.1 * torch.randn_like(bags[rows])
            loss = nn.functional.cross_entropy(model(x), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


@pytest.mark.parametrize('name', NECKS)
def test_the_heaviest_instance_matters_most(name, clips):
    (bags, labels), (unseen, truth) = clips
    torch.manual_seed(0)
    model = trained(NECKS[name](), bags, labels)
    with torch.no_grad(), explain(model) as seen:
        found = model(unseen).argmax(1)
    often = truth.bincount(minlength=7).max() / len(truth)
    assert (found == truth).float().mean() > 1.5 * often  # it has learned
    drops = occlusion(model, unseen)  # (clips, 4)
    assert drops.isfinite().all()
    weights = seen.instance_weights
    most = drops.gather(1, weights.argmax(1, keepdim=True))
    least = drops.gather(1, weights.argmin(1, keepdim=True))
    assert most.abs().mean() > 1.2 * least.abs().mean()
    assert most.mean() > 1.2 * least.mean()
