"""Start-up: import, and from the command to the first iteration done.

Everything in processes of their own, in turn. The stock side gets the cures
of :mod:`micacl_mm.compat`, without which this MMAction2 does not start.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from micacl_mm.datasets import DFEWDataset
from micacl_mm.synthetic import make_synthetic

from .figure import Figure, time_figure
from .options import CONFIGS, Options
from .timing import compare, time_in_turn

ROOT = CONFIGS.parent
#: compat.py by itself, without its package.
_CURES = f"""
import runpy
runpy.run_path({str(ROOT / 'micacl_mm' / 'compat.py')!r})['apply']()
"""
#: What a training of MMAction2 imports.
_STOCK_IMPORT = f"""{_CURES}
import mmaction.apis, mmaction.datasets, mmaction.engine
import mmaction.evaluation, mmaction.models, mmaction.visualization
"""
_OUR_IMPORT = f'{_STOCK_IMPORT}\nimport micacl_mm\n'
_STOCK_TRAIN = f"""{_CURES}
import sys
from importlib.util import find_spec
from pathlib import Path
package = Path(find_spec('mmaction').submodule_search_locations[0])
tool = package / '.mim' / 'tools' / 'train.py'
tool = tool if tool.is_file() else package.parent / 'tools' / 'train.py'
sys.argv = [str(tool), *sys.argv[1:]]
runpy.run_path(str(tool), run_name='__main__')
"""
_STOCK_CONFIG = """
default_scope = 'mmaction'
default_hooks = dict(logger=dict(type='LoggerHook', interval=20))
env_cfg = dict(mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0))
model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='ResNet3d',
        depth=18,
        base_channels=16,
        pretrained2d=False,
        conv1_kernel=(3, 7, 7),
        conv1_stride_t=2,
        with_pool2=False,
        zero_init_residual=False,
    ),
    cls_head=dict(
        type='I3DHead', num_classes=7, in_channels=128, average_clips='prob'
    ),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        format_shape='NCTHW',
        mean=[110.2008, 100.63983, 95.99475],
        std=[58.14765, 56.46975, 55.332],
    ),
)
pipeline = [
    dict(type='SampleFrames', clip_len=16, frame_interval=1, num_clips=1),
    dict(type='RawFrameDecode'),
    dict(type='Resize', scale=(48, 48), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='RawframeDataset',
        ann_file={ann!r},
        data_prefix=dict(img=''),
        pipeline=pipeline,
    ),
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=6)
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=2e-3))
"""
_FIRST = 'Epoch(train)'


def run_code(code: str) -> None:
    """Run Python code in a new process.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    subprocess.run([sys.executable, '-c', code], check=True, cwd=ROOT)


def wait_for_line(command: Sequence[str], text: str, **kwargs) -> float:
    """Start a command, wait for a line that holds a text, and end it.

    Args:
        command (Sequence[str]): Its output is read as it comes.
        text (str): To look for.
        kwargs: Of :class:`subprocess.Popen`.

    Returns:
        float: seconds from the start to the line.

    Raises:
        RuntimeError: It ended before; its last words follow.
    """
    start, said = time.perf_counter(), []
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **kwargs,
    )
    try:
        for line in process.stdout:
            said.append(line)
            if text in line:
                return time.perf_counter() - start
    finally:
        if process.poll() is None:  # it and its data workers
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    raise RuntimeError(
        f'{command} ended without {text!r}: {"".join(said)[-2000:]}'
    )


def make_stock_files(data_root: Path, folder: Path) -> Path:
    """Lay the train split of a set in DFEW's layout out for stock datasets.

    Returns:
        Path: of a stock config; frames are links to those of the set.
    """
    dataset = DFEWDataset(str(data_root), pipeline=[], split='train')
    lines = []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        clip = folder / 'frames' / f'clip_{index:05}'
        clip.mkdir(parents=True)
        for number, name in enumerate(info['frames'], 1):
            target = Path(info['frame_dir'], name)
            (clip / f'img_{number:05}.jpg').symlink_to(target)
        lines.append(f'{clip} {info["total_frames"]} {info["label"]}')
    annotation = folder / 'stock.txt'
    annotation.write_text('\n'.join(lines))
    config = folder / 'stock.py'
    config.write_text(_STOCK_CONFIG.format(ann=str(annotation)))
    return config


def first_iteration_commands(folder: Path) -> list[list[str]]:
    """Draw a tiny set, and return the commands of ours and of the other."""
    data_root = folder / 'data'
    make_synthetic(data_root, num_clips=40, size=64, folds=(1,))
    stock = make_stock_files(data_root, folder)
    options = ['--cfg-options', 'default_hooks.logger.interval=1']
    ours = [str(ROOT / 'tools' / 'train.py'), str(CONFIGS / 'micacl_demo.py')]
    return [
        [sys.executable, *ours, '--data-root', str(data_root)]
        + ['--work-dir', str(folder / 'ours'), *options],
        [sys.executable, '-c', _STOCK_TRAIN, str(stock)]
        + ['--work-dir', str(folder / 'stock'), *options],
    ]


def measure(options: Options) -> list[Figure]:
    """Measure the import and the first iteration."""
    rounds = 1 if options.quick else 3
    imports = [partial(run_code, c) for c in (_OUR_IMPORT, _STOCK_IMPORT)]
    warmup = 0 if options.quick else 1
    times = time_in_turn(imports, rounds=rounds, warmup=warmup)
    found = [
        time_figure(
            dict(what='import micacl_mm'), compare(*times), 'mmaction alone'
        )
    ]
    with tempfile.TemporaryDirectory() as folder:
        commands = first_iteration_commands(Path(folder))
        waits = [
            partial(wait_for_line, command, _FIRST, cwd=folder)
            for command in commands
        ]
        # The imports before have warmed the file cache up.
        times = time_in_turn(waits, rounds=min(rounds, 2), warmup=0)
    found.append(
        time_figure(
            dict(what='first iteration of micacl_demo'),
            compare(*times),
            'stock recognizer',
        )
    )
    return found
