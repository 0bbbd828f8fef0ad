"""Which cells answer for which boxes, and what is kept of what they say."""

import torch

from ffcv_hydra.models.box_grid import assigned, best, loss_sum, split


def test_cells_say_boxes_around_their_centres():
    outputs = torch.full((1, 1 + 4, 2, 3), -20.0)
    outputs[0, 1:, 1, 2] = torch.tensor([1.0, 2.0, 3.0, 4.0]).expm1().log()  # the inverse of a softplus
    logits, boxes, centres = split(outputs, height=16)
    assert logits.shape == (1, 6, 1)
    assert centres.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]
    assert torch.allclose(boxes[0, 5], torch.tensor([20.0 - 8, 12 - 16, 20 + 24, 12 + 32]))
    assert torch.allclose(boxes[0, :5], centres[:5].repeat(1, 2), atol=1e-4)


def test_the_cells_near_the_middle_of_a_box_answer_for_it_and_for_the_smaller_one():
    centres = split(torch.zeros(1, 5, 4, 4), height=32)[2]
    boxes = torch.tensor([[[0.0, 0, 32, 32], [9.0, 9, 15, 15], [17, 0, 31, 32]]])
    which = assigned(centres, boxes, torch.tensor([[True, True, False]]), stride=8.0).view(4, 4)
    assert which.tolist() == [[-1] * 4, [-1, 1, 0, -1], [-1, 0, 0, -1], [-1] * 4]
    nothing = assigned(centres, boxes[:, :0], torch.ones(1, 0, dtype=torch.bool), stride=8.0)
    assert nothing.tolist() == [[-1] * 16]


def test_a_score_learns_how_well_its_box_fits():
    boxes, labels = torch.tensor([[[0.0, 0, 8, 8]]]), torch.tensor([[1]])
    found, which = torch.tensor([[[0.0, 0, 8, 4], [50.0, 50, 60, 60]]]), torch.tensor([[0, -1]])
    logits = torch.zeros(1, 2, 2, requires_grad=True)
    fitting = torch.tensor([[[-9.0, 0.0], [-9.0, -9.0]]], requires_grad=True)  # 0.5 is the intersection over union
    losses = [loss_sum(one, found, which, boxes, labels) for one in (logits, fitting)]
    assert losses[1] < losses[0]
    torch.autograd.backward(losses)
    assert (logits.grad[0, :, 0] > 0).all() and logits.grad[0, 1, 1] > 0
    assert fitting.grad.abs().max() < 1e-2


def test_of_overlapping_boxes_of_a_class_the_best_is_kept():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 10, 10], [-5, 20, 8, 40], [0, 0, 10, 10]])
    logits = torch.tensor([[2.0, -9], [3.0, -9], [1.0, -9], [-9.0, 0.0]])
    found = best(logits, boxes, (30, 30), min_score=0.1, max_overlap=0.5, most=10)
    assert found.boxes.tolist() == [[1, 0, 10, 10], [0, 20, 8, 30], [0, 0, 10, 10]]
    assert found.labels.tolist() == [0, 0, 1]
    assert torch.allclose(found.scores, torch.tensor([3.0, 1.0, 0.0]).sigmoid())
    assert len(best(logits, boxes, (30, 30), min_score=0.1, max_overlap=0.5, most=2).labels) == 2
    assert len(best(logits, boxes, (30, 30), min_score=0.6, max_overlap=0.95, most=9).labels) == 3
