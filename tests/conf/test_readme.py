"""What the README shows of configs is one."""

import re
from pathlib import Path

import pytest
import yaml

from ffcv_hydra.building.targets import check_targets
from ffcv_hydra.cli.schema import Pipeline, check

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_each_yaml_block_is_a_pipeline_whose_targets_exist(block):
    node = yaml.safe_load(block)
    check(Pipeline, node)
    check_targets(node)
