"""Nothing on our paths runs what a file says, told by our own source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Calls that run, or unpack, whatever they are given.
BARRED = {
    *('eval', 'exec', 'compile', '__import__', 'Config.fromstring'),
    *('yaml.load', 'yaml.unsafe_load', 'yaml.full_load', 'mmengine.load'),
    *('os.system', 'os.popen', 'subprocess.getoutput', 'runpy.run_module'),
    *('tarfile.open', 'pandas.read_pickle', 'pd.read_pickle'),
}
BARRED_METHODS = {'extractall', 'extract', 'fromstring', 'unpack_archive'}
PICKLES = {'pickle', 'dill', 'joblib', 'shelve', 'marshal'}


def name_of(node):
    """``a.b.c`` of what is called."""
    if isinstance(node, ast.Attribute):
        return f'{name_of(node.value)}.{node.attr}'
    return node.id if isinstance(node, ast.Name) else ''


def faults(source):
    """Lines and names of calls that should not be there."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = {alias.name for alias in node.names}
            names.add(getattr(node, 'module', None))
            if names & PICKLES:
                yield node.lineno, f'import {names}'
        if not isinstance(node, ast.Call):
            continue
        name = name_of(node.func)
        given = {k.arg: getattr(k.value, 'value', None) for k in node.keywords}
        unsafe = (
            name in BARRED
            or name.split('.')[-1] in BARRED_METHODS
            or name == 'torch.load'
            and given.get('weights_only') is not True
            or given.get('weights_only') is False
            or name.endswith('np.load')
            or given.get('allow_pickle')
            or given.get('shell')
        )
        if unsafe:
            yield node.lineno, name


def test_the_scan_finds_each_of_them():
    planted = """
import pickle
from pickle import load
torch.load(path)
torch.load(path, weights_only=False)
np.load(path)
np.load(path, allow_pickle=True)
eval(text)
exec(text)
yaml.load(text)
subprocess.run(text, shell=True)
tarfile.open(path).extractall(folder)
Config.fromstring(text, '.py')
os.system(text)
model.eval()
torch.load(path, weights_only=True)
subprocess.run([tool])
"""
    lines = {line for line, _ in faults(planted)}
    assert lines == set(range(2, 15))


@pytest.mark.parametrize('folder', ['micacl_mm', 'tools', 'configs'])
def test_nothing_of_ours_runs_what_a_file_says(folder):
    # Configs are Python, and have no other way to read the environment.
    allowed = {'__import__'} if folder == 'configs' else set()
    paths = sorted((ROOT / folder).rglob('*.py'))
    found = [
        f'{path.relative_to(ROOT)}:{line}: {name}'
        for path in paths
        for line, name in faults(path.read_text(encoding='utf-8'))
        if name not in allowed
    ]
    assert not found and len(paths) > 5


def test_scripts_run_nothing_that_they_are_given():
    for path in [*ROOT.glob('tools/**/*.sh'), ROOT / '.ci/run']:
        words = path.read_text(encoding='utf-8').split()
        assert 'eval' not in words, path
