# expect: exit 1 | collating samples | 0 is (Image, int) | hint: make a tensor of the image in __getitem__
from PIL import Image
from torch import nn
from torch.utils.data import Dataset

from tui_trainer import Task


class Pictures(Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, index):
        return Image.new("L", (8, 8)), index % 3


class Mine(Task):
    def datasets(self, hparams):
        return Pictures()

    def model(self, hparams):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
