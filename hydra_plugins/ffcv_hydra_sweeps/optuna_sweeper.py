"""`hydra/sweeper=optuna`: a search with current Optuna, pruning included."""

from collections.abc import Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class OptunaSweeper(Sweeper):
    """Hands the options of `conf/hydra/sweeper/optuna.yaml` to `ffcv_hydra.sweeps.search`.

    Args:
        params: swept values by key, as on the command line, which comes after them.
        options: the other ones.
    """

    def __init__(self, params: Mapping[str, Any] | None, **options: Any) -> None:
        self.params = dict(params or {})
        self.options: dict[str, Any] = {
            name: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for name, value in options.items()
        }

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from ffcv_hydra.sweeps.slurm import follow_trainer

        follow_trainer(config)
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        from ffcv_hydra.sweeps.trial import import_optuna

        import_optuna()
        from ffcv_hydra.sweeps.search import Search, SearchOptions
        from ffcv_hydra.sweeps.swept_values import check_swept_values

        assert self.hydra_context is not None and self.config is not None and self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*(f"{key}={value}" for key, value in self.params.items()), *arguments])
        check_swept_values(overrides, self.hydra_context.config_loader, takes_intervals=True)
        Search(self.launcher, self.config, SearchOptions(**self.options), overrides).run(self.validate_batch_is_legal)
