"""The wheel, installed, in an empty folder: commands and shipped files."""

import os
import zipfile

import pytest

from micacl_mm.cli import COMMANDS

pytestmark = pytest.mark.slow


@pytest.fixture
def micacl(venv_of_wheel, tmp_path):
    script = venv_of_wheel.python.with_name('micacl')

    def micacl(*arguments, **environment):
        return venv_of_wheel.run(
            script, *arguments, cwd=tmp_path, **environment
        )

    return micacl


def test_the_wheel_has_what_users_run(wheel):
    """OpenMMLab's convention: configs, tools and model index in .mim."""
    names = set(zipfile.ZipFile(wheel).namelist())
    mim = {
        n.split('.mim/')[1] for n in names if n.startswith('micacl_mm/.mim')
    }
    assert {
        *('configs/micacl_dfew.py', 'configs/_base_/datasets/dfew.py'),
        *('tools/train.py', 'tools/slurm_train.sh', 'model-index.yml'),
    } <= mim
    assert not [name for name in mim if name.startswith('tools/dev')]
    assert not [n for n in names if n.startswith(('tests', 'tools', 'con'))]


def test_the_command_and_its_help(micacl, venv_of_wheel, tmp_path):
    assert micacl('--help') == venv_of_wheel.run('-m', 'micacl_mm')
    assert {*COMMANDS} <= set(micacl('--help').split())


def test_every_command_has_help(venv_of_wheel, tmp_path):
    """In one process, which imports the stack once."""
    script = f"""
from micacl_mm.cli import main
for name in {sorted(COMMANDS)}:
    try:
        print(name, main([name, '--help']))
    except SystemExit as error:
        print(name, error.code)
"""
    lines = venv_of_wheel.run('-c', script, cwd=tmp_path).splitlines()
    assert {f'{name} 0' for name in COMMANDS} <= {*lines}


def test_a_run_without_a_clone(micacl, tmp_path):
    """Draw, train by the name of a shipped config, test, look, predict."""
    micacl('make-data', 'set', '--clips', 35, '--size', 32, '--folds', 1)
    data = ('--data-root', 'set', '--work-dir', 'work')
    short = ['train_cfg.max_epochs=1', 'train_dataloader.batch_size=4']
    micacl('train', 'micacl_demo', *data, '--cfg-options', *short)
    (best,) = tmp_path.glob('work/best_*.pth')
    text = micacl('test', 'micacl_demo', best, *data)
    assert 'UAR' in text and 'WAR' in text
    text = micacl('mm', 'analysis_tools/print_config', 'micacl_demo')
    assert 'GEIIM' in text
    micacl('plot', 'work', '--features', 'none')
    assert any(tmp_path.glob('work/plots/*.png'))
    micacl('make-video', 'story.mp4', '--emotions', 'Sad', '--size', 96)
    model = ('--config', 'micacl_demo', '--checkpoint', best)
    micacl('infer', 'story.mp4', *model, '--out', 'found')
    assert (tmp_path / 'found/predictions.csv').is_file()
    assert '0 FAIL' in micacl('doctor').replace('0 failed', '0 FAIL')
    assert {*os.listdir(tmp_path)} == {'set', 'work', 'story.mp4', 'found'}


def test_an_editable_install_has_the_configs_of_its_source(
    venv_of_source, source, tmp_path
):
    script = 'from micacl_mm.options import find_config; '
    script += 'print(find_config("micacl_dfew"))'
    found = venv_of_source.run('-c', script, cwd=tmp_path).split()
    assert found[-1] == str(source / 'configs' / 'micacl_dfew.py')
