"""LightningModules that `conf/model` names, and the networks inside them."""

from ffcv_hydra.models.airbench import AirbenchNet as AirbenchNet
from ffcv_hydra.models.airbench import airbench94 as airbench94
from ffcv_hydra.models.autoencoder import AutoEncoder as AutoEncoder
from ffcv_hydra.models.blur_pool import ffcv_resnet as ffcv_resnet
from ffcv_hydra.models.blur_pool import with_blur_pool as with_blur_pool
from ffcv_hydra.models.classifier import Classifier as Classifier
from ffcv_hydra.models.detection_net import DetectionNet as DetectionNet
from ffcv_hydra.models.detector import Detector as Detector
from ffcv_hydra.models.evaluation_views import EvaluationViews as EvaluationViews
from ffcv_hydra.models.keypoint_finder import KeypointFinder as KeypointFinder
from ffcv_hydra.models.segmenter import Segmenter as Segmenter
from ffcv_hydra.models.simclr import SimCLR as SimCLR
from ffcv_hydra.models.small_conv_net import SmallConvNet as SmallConvNet
from ffcv_hydra.models.small_conv_net import mirrored_conv_net as mirrored_conv_net
from ffcv_hydra.models.unet import UNet as UNet
