"""What was measured: kept as JSON, and what can be worked out from it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from ffcv_hydra.atomic_file import write_whole
from ffcv_hydra.bench.facts import Facts
from ffcv_hydra.errors import ConfigError, WriteError, describe_error

FILE = "bench.json"  # in a run's folder

# what the loader's threads do beside operations, and the thread that takes the batches
LOADER, DISK, CORE = "the loader itself", "waiting for the disk", "waiting for a core or a lock"
IDLE, ENDS = "waiting for something to do", "before and after epochs"
TAKING, WAITING = "taking batches", "waiting for batches"
NO_OPERATIONS = (LOADER, DISK, CORE, IDLE, ENDS, TAKING, WAITING)
_NO_WORK = (DISK, CORE, IDLE, ENDS, WAITING)


@dataclass(frozen=True)
class Round:
    """A part of the time.

    Attributes:
        samples: delivered in it.
        seconds: by the clock.
        threads: seconds by part, summed over the loader's threads; these are all of their time.
        consumer: seconds by part, of the thread that takes the batches; all of its time.
    """

    samples: int
    seconds: float
    threads: Mapping[str, float]
    consumer: Mapping[str, float]

    @property
    def samples_per_second(self) -> float:
        """That the loader delivers."""
        return self.samples / self.seconds


@dataclass(frozen=True)
class Report:
    """What was measured.

    Attributes:
        title: dataset and stage.
        rounds: one after another, of about the same length.
        batch_size: samples per batch.
        num_workers: threads of the loader.
        num_cores: that this process may use.
        facts: what it depends on.
        shrinkable: the share of samples that `scaled_decoding` would decode at a fraction of their size.
        alone: the parts of which only one runs at a time, whatever the number of threads.
    """

    title: str
    rounds: tuple[Round, ...]
    batch_size: int
    num_workers: int
    num_cores: int
    facts: Facts
    shrinkable: float = 0.0
    alone: tuple[str, ...] = ()

    @cached_property
    def whole(self) -> Round:
        """All rounds as one."""
        threads, consumer = (_total([getattr(one, name) for one in self.rounds]) for name in ("threads", "consumer"))
        samples, seconds = sum(one.samples for one in self.rounds), sum(one.seconds for one in self.rounds)
        return Round(samples, seconds, threads, consumer)

    def estimate(self, without: str = "", one_more: bool = False) -> float:
        """The samples per second that would come without a part, or with one more thread, and a core if none is free.

        The time shrinks as the least time does that the work could take, but for that before and after epochs.
        """
        whole, workers = self.whole, self.num_workers + one_more
        cores = self.num_cores + (one_more and self.num_workers >= self.num_cores)
        ends = min(whole.seconds, whole.threads.get(ENDS, 0.0) / self.num_workers)
        factor = self._least(without, workers, cores) / self._least("", self.num_workers, self.num_cores)
        return whole.samples / (ends + (whole.seconds - ends) * factor)

    def _least(self, without: str, workers: int, cores: int) -> float:
        """Seconds that the work takes at least: of threads, of cores, of the consumer, of what runs alone."""
        left_out, threads = (*_NO_WORK, without), self.whole.threads
        work = sum(seconds for part, seconds in threads.items() if part not in left_out)
        taking = sum(seconds for part, seconds in self.whole.consumer.items() if part not in left_out)
        alone = sum(threads.get(part, 0.0) for part in self.alone if part != without)
        return max((work + threads.get(DISK, 0.0)) / workers, (work + taking) / cores, taking, alone)

    def save(self, path: Path) -> None:
        """Write it as JSON to a file, or into a folder; raises `WriteError`."""
        file = path / FILE if path.is_dir() else path
        contents = {"samples_per_second": self.whole.samples_per_second, **asdict(self)}
        try:
            write_whole(file, json.dumps(contents, indent=1) + "\n")
        except OSError as error:
            raise WriteError(f"{file} cannot be written: {error.strerror}") from error

    @classmethod
    def load(cls, path: Path) -> "Report":
        """What `save` wrote to a file or into a folder; raises `ConfigError` for anything else."""
        file = path / FILE if path.is_dir() else path
        try:
            found = json.loads(file.read_text())
            del found["samples_per_second"]
            rounds = tuple(Round(**one) for one in found["rounds"])
            report = cls(**found | {"rounds": rounds, "alone": tuple(found["alone"])})
            report.estimate()  # looks at every number
            if min(one.samples for one in rounds) < 1:
                raise ValueError("a round without samples")
        except OSError as error:
            advice = "mode=bench writes it into the folder of its run, and bench --json=FILE where it is told"
            raise ConfigError(f"{file} cannot be read: {error.strerror}; {advice}") from error
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
            raise ConfigError(f"{file} is nothing that this version's bench wrote ({describe_error(error)})") from error
        return report


def _total(rounds: list[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for parts in rounds for name in parts)
    return {name: sum(parts.get(name, 0.0) for parts in rounds) for name in names}
