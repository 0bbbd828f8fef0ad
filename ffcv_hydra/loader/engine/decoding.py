"""From stored bytes to the results of a step's decoders: compared with their checksums, and what becomes of damage."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ffcv_hydra.beton.reading.source_names import with_name
from ffcv_hydra.errors import SampleError
from ffcv_hydra.loader.engine.batch_job import BatchJob
from ffcv_hydra.loader.engine.chunks import chunk_of
from ffcv_hydra.loader.engine.failures import FailedSamples, OnError
from ffcv_hydra.loader.engine.storage import Storage
from ffcv_hydra.loader.plan.node import Node
from ffcv_hydra.loader.plan.step import Branch, Link
from ffcv_hydra.operations import Chunk, Extents, FailedSample, ImageDecoder, decode_shared
from ffcv_hydra.operations.base import Scratch
from ffcv_hydra.operations.image_chain import images_of

MOST_NAMED = 8  # samples in a message
DAMAGED = "the stored bytes differ from their checksum"


class Decoding:
    """Runs decoders on chunks; goes on behind a sample that fails, if that is the policy.

    Args:
        storage: of the file.
        on_error: the policy.
        failures: the loader's account of samples that failed.
    """

    def __init__(self, storage: Storage, on_error: OnError, failures: FailedSamples) -> None:
        self.storage = storage
        self._on_error = on_error
        self._failures = failures

    def run(
        self, job: BatchJob, link: Link, targets: list[np.ndarray], start: int, stop: int, scratch: Scratch
    ) -> None:
        """Fill one target (stop - start, ...) per branch, for samples start to stop of a batch.

        Raises:
            SampleError: a sample is damaged, and the policy is to raise.
        """
        if link.is_stored:
            self._chain(job, link.branches[0], targets[0], start, stop, scratch)
        else:
            self._decode(job, link, targets, start, stop, scratch)

    def _chain(
        self, job: BatchJob, branch: Branch, target: np.ndarray, start: int, stop: int, scratch: Scratch
    ) -> None:
        node, chain, keys = branch.nodes[0], branch.chain, job.keys[start:stop]
        source, places = self.storage.images(
            node.field, branch.image_bytes, job.samples[start:stop], scratch.file_for, job.pages
        )
        done, count = chain.run(source, places, keys, target, scratch), stop - start
        while done < count:
            self.fail(job, node, start + done, DAMAGED)
            _fill_with_zeros(branch, target[done : done + 1], keys[done : done + 1], scratch)
            done += 1
            done += chain.run(source, places[done:], keys[done:], target[done:], scratch)

    def _decode(
        self, job: BatchJob, link: Link, targets: list[np.ndarray], start: int, stop: int, scratch: Scratch
    ) -> None:
        """Decode with the memory that there is; a sample that it does not suffice for is damaged."""
        try:
            self._decode_at_once(job, link, targets, start, stop, scratch)
        except MemoryError:
            if link.nodes[0].operation.num_sources > 1:  # type: ignore[attr-defined]  # it reads the file
                raise  # one sample cannot be left out of its group
            needed = self._memory_for(link.nodes[0], job.samples[start:stop])
            largest = int(needed.argmax())
            what = f"there is not enough memory for the {needed[largest]:,} bytes that it takes by the file's tables"
            self.fail(job, link.nodes[0], start + largest, what)
            _fill_all(link, targets, largest, job.keys[start:stop], scratch)
            for begin, end in ((0, largest), (largest + 1, stop - start)):
                if begin < end:
                    parts = [target[begin:end] for target in targets]
                    self._decode(job, link, parts, start + begin, start + end, scratch)

    def _memory_for(self, node: Node, samples: np.ndarray) -> np.ndarray:
        """int64 (N,): the bytes of each sample, as stored and, of an image, decoded."""
        stored = self.storage.beton.extents(node.field)
        assert stored is not None
        needed, decoder = stored[1][samples].astype(np.int64), node.operation
        if isinstance(decoder, ImageDecoder):
            heights, widths, _ = decoder.stored(samples)
            needed += heights * widths * decoder.channels * decoder.dtype.itemsize
        return needed

    def _decode_at_once(
        self, job: BatchJob, link: Link, targets: list[np.ndarray], start: int, stop: int, scratch: Scratch
    ) -> None:
        samples, keys = job.samples[start:stop], job.keys[start:stop]
        first = link.nodes[0]
        decoders: list[Any] = [node.operation for node in link.decoders]
        stored = self.storage.extents(first.field, samples, scratch.file_for, job.pages)
        if all(isinstance(decoder, ImageDecoder) and decoder.checks_itself for decoder in decoders):
            stored = replace(stored, checksums=None)  # they are of whole images, of which a part is read
        read = {first.field: stored} | self.storage.looked_at(link.looked_at, samples, scratch, job.pages)
        chunks = [chunk_of(node, samples, keys, scratch, read) for node in link.decoders]
        if decoders[0].num_sources > 1:
            self._decode_groups(job, first, read, targets[0], start, chunks[0])
            return
        begin, count = 0, len(samples)
        while begin < count:
            damage = _first_damage(read, begin)
            end, field = damage or (count, first.field)
            failure = None if damage is None else FailedSample(end, DAMAGED)
            try:
                if begin < end:
                    data, parts = stored.part(begin, end), [chunk.part(begin, end) for chunk in chunks]
                    if link.branches[0].functions is None:
                        decoders[0].run(data, targets[0][begin:end], parts[0])
                    else:
                        chains = [branch.chain for branch in link.branches]
                        some = [target[begin:end] for target in targets]
                        decode_shared(decoders, data, some, parts, chains, keys[begin:end])
            except FailedSample as error:
                failure, field = FailedSample(begin + error.position, error.reason), first.field
            if failure is None:
                return
            self.fail(job, replace(first, field=field), start + failure.position, failure.reason)
            _fill_all(link, targets, failure.position, keys, scratch)
            begin = failure.position + 1

    def _decode_groups(
        self, job: BatchJob, node: Node, read: Mapping[str, Extents], target: np.ndarray, start: int, chunk: Chunk
    ) -> None:
        """Decode what is made of several samples each: of one that is damaged nothing comes along."""
        decoder: Any = node.operation
        damaged = self._fail_damaged(job, node, read, start)
        boxes = None if chunk.boxes is None else chunk.boxes.without(damaged)
        decoder.run(read[node.field].without(damaged), target, replace(chunk, boxes=boxes))

    def damaged(self, job: BatchJob, node: Node) -> list[int]:
        """Positions whose stored bytes differ from their checksum, before FFCV's decoders, which do not look, run."""
        if not self.storage.reads(node.field):
            return []
        stored = self.storage.extents(node.field, job.samples, lambda size: np.empty(size, dtype=np.uint8))
        return self._fail_damaged(job, node, {node.field: stored}, 0)

    def _fail_damaged(self, job: BatchJob, node: Node, read: Mapping[str, Extents], start: int) -> list[int]:
        """The positions of samples whose bytes differ from their checksum, of which the first is `start` of the job."""
        found: list[int] = []
        while (damage := _first_damage(read, found[-1] + 1 if found else 0)) is not None:
            position, field = damage
            self.fail(job, replace(node, field=field), start + position, DAMAGED)
            found.append(position)
        return found

    def fail(self, job: BatchJob, node: Node, position: int, reason: str) -> None:
        """Raise, or take note of a damaged sample."""
        sample = int(job.samples[position])
        message = self.where(node, sample) + reason
        if self._on_error is OnError.RAISE:
            raise SampleError(message)
        consequence = "skipped" if self._on_error is OnError.SKIP else "replaced by zeros"
        self._failures.add(sample, node.field, message, consequence)
        job.damaged[position] = message

    def where(self, node: Node, *samples: int) -> str:
        """What a message begins with: the file, the field, and the sample, or the first ones of those it may be."""
        beton = self.storage.beton
        shown = ", ".join(with_name(sample, beton.sample_name) for sample in samples[:MOST_NAMED])
        named = shown + ", ..." * (len(samples) > MOST_NAMED)
        which = f"sample {named}" if len(samples) == 1 else f"one of the samples {named}"
        return f"{beton.path if len(samples) > 1 else beton.path_of(samples[0])}: field '{node.field}', {which}: "


def _first_damage(read: Mapping[str, Extents], begin: int) -> tuple[int, str] | None:
    """The first position from `begin` on whose bytes differ from their checksum, and in which field; None: nowhere."""
    mismatches = ((stored.first_mismatch(begin), field) for field, stored in read.items())
    return min(((position, field) for position, field in mismatches if position is not None), default=None)


def _fill_all(link: Link, targets: list[np.ndarray], position: int, keys: np.ndarray, scratch: Scratch) -> None:
    here = slice(position, position + 1)
    for branch, target in zip(link.branches, targets, strict=True):
        _fill_with_zeros(branch, target[here], keys[here], scratch)


def _fill_with_zeros(branch: Branch, target: np.ndarray, keys: np.ndarray, scratch: Scratch) -> None:
    """Fill the target of one sample, (1, ...), with what data of zeros would give."""
    if branch.functions is None:
        decoder: Any = branch.nodes[0].operation
        decoder.fill_with_zeros(target[0])
    else:
        zeros = images_of(np.zeros((1, branch.image_bytes), dtype=np.uint8))
        branch.chain.run(zeros, np.arange(1), keys, target, scratch)
