"""Datasets that configs name."""

from ffcv_hydra.datasets.cifar10 import CIFAR10 as CIFAR10
from ffcv_hydra.datasets.coco import COCO as COCO
from ffcv_hydra.datasets.digit_scenes import DigitScenes as DigitScenes
from ffcv_hydra.datasets.digits import Digits as Digits
from ffcv_hydra.datasets.fashion_mnist import FashionMNIST as FashionMNIST
from ffcv_hydra.datasets.fold import Fold as Fold
from ffcv_hydra.datasets.image_folder import ImageFolder as ImageFolder
from ffcv_hydra.datasets.segmentation_folder import SegmentationFolder as SegmentationFolder
from ffcv_hydra.datasets.spectral_patches import SpectralPatches as SpectralPatches
from ffcv_hydra.datasets.split_fraction import SplitFraction as SplitFraction
from ffcv_hydra.datasets.toy import ToyArrays as ToyArrays
from ffcv_hydra.datasets.toy import ToyImages as ToyImages
from ffcv_hydra.datasets.toy import ToyTensorsAndJson as ToyTensorsAndJson
from ffcv_hydra.datasets.voc import VOC as VOC
from ffcv_hydra.datasets.webdataset_shards import WebDatasetShards as WebDatasetShards
from ffcv_hydra.datasets.yolo import YOLO as YOLO
