"""The passes in their order: what holds before and after each, and that none changes what it is given."""

from dataclasses import FrozenInstanceError

import pytest

from ffcv_hydra.beton import Beton
from ffcv_hydra.loader.plan.declare import declare
from ffcv_hydra.loader.plan.fuse import fuse
from ffcv_hydra.loader.plan.join import join
from ffcv_hydra.loader.plan.node import Kind
from ffcv_hydra.loader.plan.passes import make_plan
from ffcv_hydra.loader.plan.request import request
from ffcv_hydra.loader.plan.resolve import resolve
from ffcv_hydra.loader.plan.schedule import schedule
from ffcv_hydra.loader_options import LoaderOptions
from tests.loader.configurations import everything, pipelines_with, views

OPTIONS = LoaderOptions(batch_size=16, num_workers=2)
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(params=[everything, views])
def pipelines(request: pytest.FixtureRequest):
    return request.param()


def test_each_pass_keeps_what_it_promises_and_changes_nothing(scenes, pipelines):
    beton = Beton(scenes)
    requests = request(pipelines, beton)
    chains = resolve(requests, beton, replace=True, sizes={})
    assert all(chain.operations[0].is_decoder for chain in chains)

    declared = declare(requests, chains, beton, num_threads=1)
    assert list(declared.outputs) == [one.output for one in requests]
    assert all(node.state.shape is not None and node.stream is None for node in declared.nodes)

    joined = join(declared, beton)
    assert all((node.stream is not None) == node.operation.random for node in joined.nodes)
    assert joined.pictures and not declared.pictures
    assert all(node.stream is None for node in declared.nodes)
    assert len({node.stream for node in joined.nodes if node.field == "image"}) > 2

    fused = fuse(joined)
    assert len(fused.nodes) < len(joined.nodes) == len(declared.nodes)
    assert not any(node.fused for node in joined.nodes)
    for output in joined.outputs:
        for before, after in zip(joined.ends(output), fused.ends(output), strict=True):
            assert (before.state.dtype, before.state.shape) == (after.state.dtype, after.state.shape)

    done = schedule(fused, beton, batch_size=16, num_workers=2, batches_ahead=3)
    assert not fused.steps
    assert sorted(map(id, done.nodes)) == sorted(id(node) for step in done.steps for node in step.nodes)
    for step in done.steps:
        assert (step.kind is Kind.CHUNK) == (step.chunk_size is not None) == bool(step.links)
        in_links = [node for link in step.links for node in link.nodes]
        assert not in_links or (len(in_links) == len(step.nodes) and set(in_links) == set(step.nodes))


def test_every_node_comes_after_the_one_that_feeds_it(scenes, pipelines):
    plan = make_plan(pipelines, Beton(scenes), OPTIONS)
    for place, node in enumerate(plan.nodes):
        assert node.parent is None or node.parent in plan.nodes[:place]
    order = [node for step in plan.steps for node in step.nodes]
    assert all(node.parent is None or order.index(node.parent) < place for place, node in enumerate(order))


def test_a_plan_is_a_value(scenes, pipelines):
    beton = Beton(scenes)
    first, second = (make_plan(pipelines, beton, OPTIONS) for _ in range(2))
    assert str(first) == str(second)
    assert [node.stream for node in first.nodes] == [node.stream for node in second.nodes]
    for thing, name in ((first, "nodes"), (first.nodes[0], "parent"), (first.steps[0], "chunk_size")):
        with pytest.raises(FrozenInstanceError):
            setattr(thing, name, None)


def test_targets_follow_a_copy_of_their_operation(scenes):
    pipelines = pipelines_with("MixedTargets")
    plan = make_plan(pipelines, Beton(scenes), OPTIONS)
    [mixing] = plan.mixing
    [targets] = [node for node in plan.nodes if node.name == "MixedTargets"]
    assert targets.stream == mixing.stream and targets.operation.mixing is mixing.operation
    assert pipelines["label"].operations[0].mixing is None
