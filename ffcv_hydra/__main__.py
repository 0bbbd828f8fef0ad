"""`python -m ffcv_hydra COMMAND ...`: tools for betons."""

import sys

from ffcv_hydra.cli.inspection import main

sys.exit(main())
