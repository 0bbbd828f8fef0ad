"""What is counted of an evaluation."""

import numpy as np
import pytest
import torch

from ffcv_hydra.training import evaluation_tally
from ffcv_hydra.training.evaluation_tally import NUM_MISTAKES, EvaluationTally, counted

CPU = torch.device("cpu")


def batches(num_classes, sizes, seed=0):
    """Logits, labels and ids of batches of such sizes."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.arange(sum(sizes)).split(list(sizes))
    return [
        (
            torch.randn(size, num_classes, generator=generator),
            torch.randint(num_classes, (size,), generator=generator),
            one + 1000 * seed,
        )
        for size, one in zip(sizes, ids, strict=True)
    ]


def tally_of(parts, num_classes=5):
    tally = EvaluationTally(num_classes, CPU)
    for part in parts:
        tally.update(*part)
    return tally


def confusion(parts, num_classes=5):
    matrix = np.zeros((num_classes, num_classes), int)
    for logits, labels, _ in parts:
        np.add.at(matrix, (labels.numpy(), logits.argmax(1).numpy()), 1)
    return matrix


def matrix_of(found, num_classes=5):
    matrix = np.diag(found["correct"])
    for label, predicted, count in found["confused"]:
        matrix[label, predicted] = count
    return matrix


def test_pairs_are_those_of_all_batches():
    parts = batches(5, [8, 3, 20])
    found = tally_of(parts).described()
    np.testing.assert_array_equal(matrix_of(found), confusion(parts))
    assert found["counts"] == confusion(parts).sum(1).tolist()
    counts = [count for _, _, count in found["confused"]]
    assert counts == sorted(counts, reverse=True) and 0 not in counts


def test_mistakes_are_the_worst_of_all_batches():
    parts = batches(5, [40, 1, 40])
    logits, labels, ids = (torch.cat(values) for values in zip(*parts, strict=True))
    shares = logits.softmax(1)
    wrong = shares.argmax(1) != labels
    of_label = shares[torch.arange(len(labels)), labels]
    order = [n for n in of_label.argsort().tolist() if wrong[n]][:NUM_MISTAKES]
    found = tally_of(parts).described()["mistakes"]
    assert [mistake["id"] for mistake in found] == ids[order].tolist()
    assert [mistake["label"] for mistake in found] == labels[order].tolist()
    assert [mistake["predicted"] for mistake in found] == shares.argmax(1)[order].tolist()
    np.testing.assert_allclose([mistake["of_label"] for mistake in found], of_label[order], rtol=1e-4)
    np.testing.assert_allclose([mistake["probability"] for mistake in found], shares.max(1).values[order], rtol=1e-4)


def test_ranks_count_together():
    first, second = batches(5, [30, 30]), batches(5, [30], seed=1)
    tallies = [tally_of(first), tally_of(second)]
    whole = tally_of(first + second).described()
    names = [name for name, value in vars(tallies[0]).items() if isinstance(value, torch.Tensor)]
    together = {name: torch.stack([getattr(tally, name) for tally in tallies]) for name in names}

    def of_all(tensor):
        return next(found for name, found in together.items() if getattr(tallies[0], name) is tensor)

    tallies[0].gather(lambda tensor: of_all(tensor).sum(0), of_all)
    assert tallies[0].described() == whole


def test_labels_out_of_range_and_nan_are_no_mistakes():
    logits = torch.tensor([[2.0, 1.0], [float("nan")] * 2, [0.0, 1.0], [-1e30, 1e30]])
    found = tally_of([(logits, torch.tensor([-100, 0, 7, 0]), torch.arange(4))], 2).described()
    assert found["counts"] == [2, 0]
    assert [mistake["id"] for mistake in found["mistakes"]] == [3]


def test_of_very_many_classes_no_pairs_are_kept(monkeypatch):
    monkeypatch.setattr(evaluation_tally, "MOST_CLASSES", 4)
    parts = batches(5, [20])
    found = tally_of(parts).described()
    assert found["confused"] is None and found["correct"] == np.diag(confusion(parts)).tolist()


def test_without_ids_there_are_counts(monkeypatch):
    [(logits, labels, _)] = batches(5, [20])
    found = tally_of([(logits, labels, None)]).described()
    assert sum(found["counts"]) == 20 and found["mistakes"] == []


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_a_matrix_is_told_the_same_way(dtype):
    matrix = torch.tensor([[5, 0, 2], [1, 3, 0], [0, 0, 0]], dtype=dtype)
    found = counted(matrix.sum(1), matrix.diagonal(), matrix)
    assert found == {"counts": [7, 4, 0], "correct": [5, 3, 0], "confused": [[0, 2, 2], [1, 0, 1]]}
