"""Folds of a dataset's samples, for cross-validation on one beton."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ffcv_hydra.errors import ConfigError

if TYPE_CHECKING:
    from ffcv_hydra.beton import Beton

LABEL = "label"
"""The field whose classes all folds have alike."""


class Fold:
    """From samples to the indices of one of several folds, or of all the others.

    Folds have no sample in common and together have all; their sizes differ by one at most. Where the beton has a field
    `label` of whole numbers, so do the numbers of each class in them, as long as there are enough samples of a class.

    Args:
        fold: Which one, from 0 on.
        folds: How many there are.
        held_out: Take the fold itself, to evaluate on; otherwise what is not in it, to train on.
        seed: The same for all folds of a dataset.
        of: What is divided: indices, or a callable that gives them; all samples by default.

    Raises:
        ConfigError: there is no such fold; when it is asked for indices, if one is given twice, or there are too few.
    """

    def __init__(
        self,
        fold: int,
        folds: int,
        held_out: bool,
        seed: int = 0,
        of: Sequence[int] | Callable[[int], np.ndarray] | None = None,
    ) -> None:
        if folds < 2 or not 0 <= fold < folds:
            raise ConfigError(f"fold {fold} of {folds}: there have to be two or more, and they count from 0")
        self.fold, self.folds, self.held_out, self.seed, self.of = fold, folds, held_out, seed, of

    def __call__(self, num_samples: int) -> np.ndarray:
        """The indices for samples without labels, int64, ascending."""
        return self._chosen(np.asarray(self.of(num_samples) if callable(self.of) else self._given(num_samples)), None)

    def of_beton(self, beton: Beton) -> np.ndarray:
        """The indices of a beton's samples, int64, ascending."""
        if self.of is not None and hasattr(self.of, "of_beton"):
            ids = self.of.of_beton(beton)
        else:
            ids = self.of(beton.num_samples) if callable(self.of) else self._given(beton.num_samples)
        labels = beton.field_metadata(LABEL) if LABEL in beton.fields else None
        is_class = labels is not None and labels.dtype.kind == "i" and labels.ndim == 1
        return self._chosen(np.asarray(ids), labels if is_class else None)

    def _given(self, num_samples: int) -> Sequence[int] | np.ndarray:
        return np.arange(num_samples) if self.of is None else self.of  # type: ignore[return-value]

    def _chosen(self, ids: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        ids = np.flatnonzero(ids) if ids.dtype == bool else np.sort(ids).astype(np.int64)
        if len(twice := ids[1:][ids[1:] == ids[:-1]]):  # it could be trained on and held out
            raise ConfigError(f"sample {twice[0]} is given twice, and would be in two folds; give each sample once")
        if len(ids) < self.folds:
            raise ConfigError(f"{len(ids)} samples are too few for {self.folds} folds; lower dataset.folds")
        order = np.random.RandomState(self.seed).permutation(len(ids))  # the same in all versions of NumPy
        if labels is not None:
            classes = labels[ids[order]]
            if len(np.unique(classes)) * self.folds <= len(ids):  # else they are no classes, or too many
                order = order[np.argsort(classes, kind="stable")]
        fold_of = np.empty(len(ids), dtype=np.int64)
        fold_of[order] = np.arange(len(ids)) % self.folds
        return ids[(fold_of == self.fold) == self.held_out]
