"""Lightning callbacks: progress, image sizes, averages of weights, throughput, stopping by signal, predictions."""

from ffcv_hydra.callbacks.ema import EMA as EMA
from ffcv_hydra.callbacks.finetuning import Finetuning as Finetuning
from ffcv_hydra.callbacks.graceful_stop import GracefulStop as GracefulStop
from ffcv_hydra.callbacks.lookahead import Lookahead as Lookahead
from ffcv_hydra.callbacks.parameter_summary import ParameterSummary as ParameterSummary
from ffcv_hydra.callbacks.prediction_writer import PredictionWriter as PredictionWriter
from ffcv_hydra.callbacks.progress_bar import ProgressBar as ProgressBar
from ffcv_hydra.callbacks.progress_file import ProgressFile as ProgressFile
from ffcv_hydra.callbacks.progressive_resizing import ProgressiveResizing as ProgressiveResizing
from ffcv_hydra.callbacks.pruning import Pruning as Pruning
from ffcv_hydra.callbacks.stop_signals import EXIT_STATUS as EXIT_STATUS
from ffcv_hydra.callbacks.stop_signals import RunInterrupted as RunInterrupted
from ffcv_hydra.callbacks.stop_signals import StopSignals as StopSignals
from ffcv_hydra.callbacks.throughput import Throughput as Throughput
from ffcv_hydra.lightning_internals import EarlyStopping as EarlyStopping
from ffcv_hydra.lightning_internals import ModelCheckpoint as ModelCheckpoint
