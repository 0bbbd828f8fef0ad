"""The commands `run` and `convert`: Hydra composes a config, it is checked, and the library does the work.

Importing this package registers the resolvers that the configs use, and imports neither torch nor FFCV.
"""

from ffcv_hydra.cli import resolvers
from ffcv_hydra.cli.commands import convert, run

resolvers.register()

__all__ = ["convert", "run"]
