"""Training of ResNet-18 and ResNet-50 (bf16, channels_last) on a GPU: the share of time that is lost to data.

    python -m benchmarks.gpu_training

The same loop runs on one batch that stays on the GPU and from each loader, which uses all cores. Without a network:
bring `data/benchmarks/photos-N` along, and give that N as `--photos`.
"""

import torch

from benchmarks import options, report
from benchmarks.contest import Child, Result, say
from benchmarks.work import RANDOM_CROP, Work
from ffcv_hydra.cores import usable_cores

CONTENDERS = ("ours", "stock_ffcv", "dali")
MODELS = ("resnet18", "resnet50")
BATCH_SIZE = 256
IMAGES_PER_EPOCH = 20_000


def main() -> None:
    chosen = options.parse(__doc__, CONTENDERS, {"photos": 2000, "repeats": 3})
    if not torch.cuda.is_available():
        print("no GPU here that torch can use: nothing was measured")
        return
    copies = max(1, IMAGES_PER_EPOCH // chosen.photos)
    cores = usable_cores()
    work = Work(RANDOM_CROP, chosen.photos, BATCH_SIZE, workers=cores, copies=copies, device="cuda:0")
    results = {model: [Result(name) for name in chosen.contenders] for model in MODELS}
    for place, name in enumerate(chosen.contenders):
        _measure(name, work, [results[model][place] for model in MODELS], chosen.repeats)
    for model, of_model in results.items():
        resident = Result("resident_batch", [value for result in of_model for value in result.details["resident"]])
        report.publish(
            f"gpu_{model}",
            f"Training of {model} (bf16, batch {BATCH_SIZE}) on {torch.cuda.get_device_name()}, {cores} threads",
            "images/s",
            [resident, *of_model],
            reference="resident_batch",
            ratio_form="{:.3f}".format,
            settings=vars(chosen),
        )


def _measure(name: str, work: Work, results: list[Result], repeats: int) -> None:
    """Add what one contender reaches with each model: how many images per second, and what share is lost."""
    for result in results:
        result.details["resident"] = []
    with Child("training", name, work) as child:
        started = child.start()
        for model, result in zip(MODELS, results, strict=True):
            for _ in range(repeats if started else 0):
                reply = child.ask(model)
                if reply is None:
                    break
                result.values.append(reply["from_loader"])
                result.details["resident"].append(reply["resident"])
                say(f"{name}, {model}: {1 - reply['from_loader'] / reply['resident']:.1%} of the time lost to data")
            result.versions, result.note = child.result.versions, child.result.note


if __name__ == "__main__":
    main()
