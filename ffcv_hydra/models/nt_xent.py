"""The loss of SimCLR."""

import torch
from torch import Tensor
from torch.nn import functional


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return the normalised temperature-scaled cross-entropy of two views (Chen et al., 2020, algorithm 1).

    Each of the 2 N vectors has to find the other view of its image among the 2 N - 1 others, by cosine similarity.

    Args:
        first: (N, D), row i is one view of image i.
        second: (N, D), row i is the other view of image i.
        temperature: divides the similarities.

    Returns:
        The mean over all vectors, a scalar.
    """
    vectors = functional.normalize(torch.cat([first, second]).float(), dim=1)
    similarities = vectors @ vectors.T / temperature
    similarities.fill_diagonal_(-torch.inf)
    partners = torch.arange(len(vectors), device=vectors.device).roll(len(first))
    return functional.cross_entropy(similarities, partners)
