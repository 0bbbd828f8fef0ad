"""LightningModules that `conf/model` names, and the networks inside them."""

from ffcv_hydra.models.autoencoder import AutoEncoder as AutoEncoder
from ffcv_hydra.models.classifier import Classifier as Classifier
from ffcv_hydra.models.small_conv_net import SmallConvNet as SmallConvNet
