"""Stands in for the stock tools: instant, and obedient to FAKE.

Usage: python fake_tool.py CHECKPOINT CALLS {train,test} [their arguments]
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path

checkpoint, calls, tool, *arguments = sys.argv[1:]
work_dir = Path(arguments[arguments.index('--work-dir') + 1])
resumes = '--resume' in arguments
fold = os.environ.get('MICACL_FOLD', '')
with open(calls, 'a') as stream:
    stream.write(f'{tool}{fold}{"+" if resumes else ""}\n')
orders = os.environ.get('FAKE', '').split()
work_dir.mkdir(parents=True, exist_ok=True)
if f'fail{fold}' in orders:
    print('\n'.join(f'line {i}' for i in range(50)), 'out of memory')
    sys.exit(3)
if 'meet' in orders and tool == 'train':
    with open(Path(calls).with_name('here'), 'a') as stream:
        stream.write('.')
    deadline = time.monotonic() + 60
    while Path(calls).with_name('here').stat().st_size < 2:
        if time.monotonic() > deadline:
            sys.exit('nobody came')
        time.sleep(0.02)
if tool == 'train':
    shutil.copy(checkpoint, work_dir / 'epoch_1.pth')
    shutil.copy(checkpoint, work_dir / 'best_acc_UAR_epoch_1.pth')
    (work_dir / 'last_checkpoint').write_text('epoch_1.pth')
    if 'hang' in orders:
        Path(calls).with_name('hangs').write_text(str(os.getpid()))
        time.sleep(100)
    shutil.copy(checkpoint, work_dir / 'epoch_2.pth')
    shutil.copy(checkpoint, work_dir / 'best_acc_UAR_epoch_2.pth')
else:
    run = json.loads((work_dir.parent / 'run.json').read_text())
    hits = 4 + 2 * (run['fold'] or 0) + run['seed']
    matrix = [[hits, 10 - hits], [5, 15]]
    record = {
        **{k: run[k] for k in ('config_hash', 'seed', 'fold', 'subset')},
        'schema': 1,
        'method': 'from the test',
        'dataset': 'dfew',
        'selection': 'last' if 'epoch_2' in arguments[1] else 'other',
        'epoch': 2,
        'pretraining': 'none',
        'command': os.environ['MICACL_COMMAND'],
        'classes': ['a', 'b'],
        'metrics': {
            'acc/UAR': (hits / 10 + 0.75) / 2,
            'acc/WAR': (hits + 15) / 30,
            'acc/recall/a': hits / 10,
            'acc/recall/b': 0.75,
        },
        'confusion_matrix': matrix,
    }
    for argument in arguments:
        if argument.startswith('default_hooks.logit_adjustment.tau='):
            record['logit_adjust'] = float(argument.partition('=')[2])
    if 'best_' in arguments[1]:
        record['selection'] = 'val'
    folder = work_dir / str(time.monotonic_ns())
    folder.mkdir()
    (folder / 'result.json').write_text(json.dumps(record))
