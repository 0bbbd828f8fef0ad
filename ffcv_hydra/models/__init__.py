"""LightningModules that `conf/model` names, and the networks inside them."""

from ffcv_hydra.models.autoencoder import AutoEncoder as AutoEncoder
from ffcv_hydra.models.classifier import Classifier as Classifier
from ffcv_hydra.models.segmenter import Segmenter as Segmenter
from ffcv_hydra.models.simclr import SimCLR as SimCLR
from ffcv_hydra.models.small_conv_net import SmallConvNet as SmallConvNet
from ffcv_hydra.models.unet import UNet as UNet
