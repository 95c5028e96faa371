"""What somebody may have meant by a name that is not there: a module, an hparam, a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tui_trainer.errors import did_you_mean

_PACKAGES = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "PyMuPDF",
    "git": "GitPython",
    "hydra": "hydra-core",
    "magic": "python-magic",
    "mpl_toolkits": "matplotlib",
    "MySQLdb": "mysqlclient",
    "OpenSSL": "pyOpenSSL",
    "PIL": "pillow",
    "pl_bolts": "lightning-bolts",
    "pytorch_lightning": "pytorch-lightning",
    "segmentation_models_pytorch": "segmentation-models-pytorch",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "torch_geometric": "torch-geometric",
    "umap": "umap-learn",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}
"""Modules whose package has another name."""

_USUAL = (
    *("datasets", "einops", "librosa", "lightning", "matplotlib", "numpy", "pandas", "pyarrow", "scipy"),
    *("seaborn", "sentencepiece", "tensorboard", "timm", "tokenizers", "torch", "torchaudio", "torchmetrics"),
    *("torchvision", "tqdm", "transformers", "wandb"),
)
"""Modules whose package has their name, which is often mistyped."""


def missing_module(error: ModuleNotFoundError) -> str:
    """How to get a module that can't be found."""
    name = error.name or ""
    top = name.partition(".")[0]
    if not top:
        return ""
    if top in sys.modules or top in sys.stdlib_module_names:
        return f"{top} is there, and has no part {name.removeprefix(top + '.')}"
    if top in _PACKAGES:
        return f"pip install {_PACKAGES[top]}"
    known = [*_PACKAGES, *_USUAL, *sys.stdlib_module_names]
    near = did_you_mean(top, [module for module in known if module[0] != "_"], most=1)
    if near:
        return near.removeprefix("; ")
    if top in _USUAL:
        return f"pip install {top}"
    return f"pip install the package that has {top}, or put {top}.py beside the task file"


def attribute(error: AttributeError) -> str:
    """What was meant by a name that hparams do not have; empty where it is not theirs."""
    from tui_trainer.config.hparams import Hparams

    owner, name = error.obj, error.name
    if not isinstance(owner, Hparams) or not name:
        return ""
    declared = type(owner)
    near = did_you_mean(name, list(declared.model_fields)).removeprefix("; ")
    if near:
        return near
    where = "a subclass of Hparams, as hparams_class" if declared is Hparams else declared.__name__
    return f"declare it in {where}: {name}: int = Field(…)"


def missing_file(error: FileNotFoundError) -> str:
    """Where a file was looked for that is not there."""
    if not isinstance(error.filename, str) or os.path.isabs(error.filename):
        return ""
    return (
        f"a relative path counts from the working directory, {Path.cwd()}; "
        "Path(__file__).parent / … is beside the task file"
    )
