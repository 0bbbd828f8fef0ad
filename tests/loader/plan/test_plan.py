"""Plans that are rewritten."""

from dataclasses import replace

import pytest
import torch

from ffcv_hydra.beton import Beton
from ffcv_hydra.loader.plan.passes import make_plan
from ffcv_hydra.loader_options import LoaderOptions
from ffcv_hydra.operations import CenterCrop, ToTensor
from ffcv_hydra.operations.operation import AllocationQuery
from tests.loader.configurations import ONLY_IMAGE, everything

OPTIONS = LoaderOptions(batch_size=16, num_workers=2)
pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def plan(scenes):
    return make_plan(everything(), Beton(scenes), OPTIONS)


def test_what_no_change_reaches_is_the_same_object(plan):
    assert plan.rewritten(lambda node, parent: node.behind(parent)).nodes == plan.nodes


def test_nodes_behind_a_change_are_made_anew_and_others_stay(plan):
    changed = plan.ends("image")[0].parent

    def change(node, parent):
        return replace(node, view=7) if node is changed else node.behind(parent)

    after = plan.rewritten(change)
    assert after.ends("image")[0].parent.view == 7 and changed.view == 0
    assert after.ends("image")[0].operation is plan.ends("image")[0].operation
    assert after.outputs["image"] is not plan.outputs["image"]
    assert after.outputs["mask"] is plan.outputs["mask"]
    assert len(after.nodes) == len(plan.nodes) and changed not in after.nodes


def test_what_is_declared_anew_is_a_copy(scenes):
    module = torch.nn.Flatten()
    plan = make_plan(ONLY_IMAGE | {"image": [CenterCrop(24), ToTensor(), module]}, Beton(scenes), OPTIONS)
    end = plan.ends("image")[0]
    smaller = replace(end.parent, state=replace(end.parent.state, shape=(6, 4, 3)))
    anew = end.behind(smaller)
    assert anew.state.shape == anew.operation.found.shape == (72,)
    assert end.state.shape == end.operation.found.shape == (24 * 24 * 3,)
    assert anew.operation.module is module and anew.code is not end.code


def test_shared_memory_is_declared_anew(plan):
    class Shares(ToTensor):
        def declare_shared_memory(self, previous_state):
            return AllocationQuery(previous_state.shape, previous_state.dtype)

    end = replace(plan.ends("mask")[0], operation=Shares())
    assert end.behind(replace(end.parent, state=replace(end.parent.state, shape=(6, 4, 3)))).shared.shape == (6, 4, 3)


def test_a_plan_is_itself_and_cannot_be_changed(plan):
    assert hash(plan) == hash(plan) and plan != replace(plan)
    with pytest.raises(TypeError, match="item assignment"):
        plan.outputs["more"] = plan.outputs["image"]


def test_a_node_may_be_gone_and_another_come_in(plan):
    gone = plan.ends("mask")[0]
    without = plan.rewritten(lambda node, parent: parent if node is gone else node.behind(parent))
    assert without.outputs["mask"] is gone.parent
    assert gone not in without.nodes and len(without.nodes) == len(plan.nodes) - 1

    def twice(node, parent):
        node = node.behind(parent)
        return replace(node, parent=node) if node is gone else node

    more = plan.rewritten(twice)
    assert more.outputs["mask"].parent is gone
    assert len(more.nodes) == len(plan.nodes) + 1
    assert more.nodes.index(gone) == more.nodes.index(more.outputs["mask"]) - 1
    assert more.readers()[gone] == 1
