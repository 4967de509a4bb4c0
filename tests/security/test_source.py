"""Nothing on our paths runs what a file says, told by our own source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    path
    for folder in ('micacl_mm', 'tools', 'configs')
    for path in sorted((ROOT / folder).rglob('*.py'))
]
#: Calls that run, or unpack, whatever they are given.
BARRED = {
    *('eval', 'exec', 'compile', '__import__'),
    *('pickle.load', 'pickle.loads', 'cPickle.load', 'dill.load'),
    *('joblib.load', 'shelve.open', 'marshal.load', 'marshal.loads'),
    *('pandas.read_pickle', 'pd.read_pickle', 'mmengine.load'),
    *('yaml.load', 'yaml.unsafe_load', 'yaml.full_load'),
    *('os.system', 'os.popen', 'subprocess.getoutput', 'runpy.run_module'),
    *('tarfile.open', 'shutil.unpack_archive', 'zipfile.extractall'),
    'Config.fromstring',
}
BARRED_METHODS = {'extractall', 'extract', 'fromstring', 'unpack_archive'}
#: What is allowed all the same, by file, and why.
ALLOWED = {
    # Configs are Python, and have no other way to read the environment.
    'configs/': {'__import__'},
}


def name_of(node):
    """``a.b.c`` of what is called."""
    if isinstance(node, ast.Attribute):
        return f'{name_of(node.value)}.{node.attr}'
    return node.id if isinstance(node, ast.Name) else ''


def keywords(call):
    return {k.arg: getattr(k.value, 'value', None) for k in call.keywords}


def faults(source):
    """Lines and names of calls that should not be there."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names]
            names.append(getattr(node, 'module', None) or '')
            for name in {'pickle', 'dill', 'joblib', 'shelve'} & set(names):
                yield node.lineno, f'import {name}'
        if not isinstance(node, ast.Call):
            continue
        name, given = name_of(node.func), keywords(node)
        if name in BARRED or name.split('.')[-1] in BARRED_METHODS:
            yield node.lineno, name
        if name == 'torch.load' and given.get('weights_only') is not True:
            yield node.lineno, 'torch.load without weights_only=True'
        if given.get('weights_only') is False:
            yield node.lineno, 'weights_only=False'
        if given.get('allow_pickle') or name.endswith('np.load'):
            yield node.lineno, f'{name} may read pickles'
        if given.get('shell'):
            yield node.lineno, f'{name} with a shell'


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
    found = []
    for path in SOURCES:
        place = path.relative_to(ROOT).as_posix()
        if not place.startswith(f'{folder}/'):
            continue
        allowed = {
            name
            for start, names in ALLOWED.items()
            if place.startswith(start)
            for name in names
        }
        found += [
            f'{place}:{line}: {name}'
            for line, name in faults(path.read_text(encoding='utf-8'))
            if name not in allowed
        ]
    assert not found
    assert sum(p.is_relative_to(ROOT / folder) for p in SOURCES) > 5


def test_scripts_run_nothing_that_they_are_given():
    for path in [*ROOT.glob('tools/**/*.sh'), ROOT / '.ci/run']:
        words = path.read_text(encoding='utf-8').split()
        assert 'eval' not in words, path
