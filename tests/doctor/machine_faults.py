"""Faults of machine and installation, and of a check."""

import os
from importlib import metadata

import torch

from micacl_mm.doctor import facts, registry, trial

from .bench import GIB
from .planting import fault, of_machine, of_package, package

# -- machine

of_machine(
    'too many workers',
    'workers',
    'WARN',
    'num_workers=1',
    cores=1,
    omp_threads='1',
)
of_machine(
    'too many threads', 'threads', 'WARN', 'OMP_NUM_THREADS', omp_threads='64'
)
of_machine(
    'shared memory of a container',
    'shared memory',
    'WARN',
    '--shm-size',
    shared_memory=(64 * 2**20, 64 * 2**20),
)
of_machine(
    'shared memory too small for the batches',
    'shared memory',
    'FAIL',
    '--shm-size',
    shared_memory=(GIB, 2**20),
)
of_machine('few open files', 'open files', 'WARN', 'ulimit', open_files=256)
of_machine('disk full', 'disk', 'FAIL', 'make room', free_disk=1000)
of_machine('old Python', 'python', 'FAIL', 'python3.12', python_version=(3, 9))
GPUS = [facts.Gpu('NVIDIA H100', '470.1')]


@fault('gpu', 'WARN', 'CUDA build')
def gpu_and_torch_for_the_cpu(bench):
    bench.machine('gpus', GPUS)
    bench.patch.setattr(torch.version, 'cuda', None)


@fault('gpu', 'FAIL', 'update the driver')
def gpu_with_an_old_driver(bench):
    bench.machine('gpus', GPUS)
    bench.patch.setattr(torch.version, 'cuda', '12.6')


@fault('gpu', 'WARN', 'unset CUDA_VISIBLE_DEVICES')
def gpu_hidden(bench):
    bench.machine('gpus', GPUS)
    bench.patch.setenv('CUDA_VISIBLE_DEVICES', '')


@fault('work folder', 'FAIL', '--work-dir')
def work_folder_is_a_file(bench):
    path = bench.folder / 'file'
    path.write_text('')
    bench.options['--work-dir'] = path / 'below'


# -- installation


of_package(
    'NumPy 2',
    'known breakages',
    'WARN',
    'numpy>=1.26,<2',
    numpy=package('2.4.0'),
)
of_package(
    'setuptools without pkg_resources',
    'known breakages',
    'FAIL',
    '<82',
    setuptools=package('82.0.1'),
)
of_package(
    'torch that nobody has tried',
    'known breakages',
    'WARN',
    'torch<=2.13',
    torch=package('2.14.0'),
)
of_package(
    'torch that a checkpoint can corrupt',
    'known breakages',
    'WARN',
    'torch>=2.10',
    torch=package('2.9.1'),
)
of_package(
    'OpenCV in two versions',
    'conflicts',
    'WARN',
    'opencv-contrib-python==4.11.0.86',
    opencv_contrib_python=package('5.0.0.1'),
)
of_package(
    'requirement that is not met',
    'conflicts',
    'WARN',
    '"numpy<1.20"',
    old=package('1.0', 'numpy<1.20', 'absent; extra == "more"'),
)
of_package(
    'requirement that is absent',
    'conflicts',
    'WARN',
    '"decord>=0.4"',
    mmaction2=package('1.2.0', 'decord>=0.4'),
)


@fault('versions', 'FAIL', 'pip uninstall -y mmcv mmcv-lite')
def mmcv_twice(bench):
    there = metadata.version

    def version(name):
        return '2.1.0' if name in ('mmcv', 'mmcv-lite') else there(name)

    bench.patch.setattr(metadata, 'version', version)


@fault('decoders', 'WARN', 'decord==0.6.0')
def decord_broken(bench):
    def broken(file):
        raise OSError('libavcodec.so.58: cannot open shared object file')

    bench.patch.setitem(trial.DECODERS, 'decord', broken)


@fault('decoders', 'WARN', 'decord==0.6.0')
def decord_kills_the_process(bench):
    bench.processes()
    bench.patch.setitem(trial.DECODERS, 'decord', lambda file: os._exit(1))


@fault('decoders', 'FAIL', 'opencv-python')
def opencv_decodes_black(bench):
    bench.patch.setitem(
        trial.DECODERS, 'OpenCV JPEG', lambda file: [torch.zeros(3).numpy()]
    )


@fault('labels', 'FAIL', 'report this line')
def check_that_breaks(bench):
    def look(case):
        raise ZeroDivisionError('nothing to divide by')
        yield

    broken = registry.CHECKS['labels']._replace(look=look)
    bench.patch.setitem(registry.CHECKS, 'labels', broken)
