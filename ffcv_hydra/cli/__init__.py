"""The commands `run` and `convert`: Hydra composes a config, it is checked, and the library does the work.

Importing this package registers the resolvers that the configs use, has mixtures composed whole, and imports neither
torch nor FFCV.
"""

from ffcv_hydra.cli import member_datasets, resolvers
from ffcv_hydra.cli.commands import convert, run

resolvers.register()
member_datasets.register()

__all__ = ["convert", "run"]
