"""A user's own program that is swept over: no torch, so that a job takes a second.

`python standin.py -m a=1,2`: each job fails if `a` is `bad`, else sleeps for `seconds`, and writes where it ran.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig


@hydra.main(version_base="1.3", config_path="standin_conf", config_name="standin")
def main(config):
    folder = Path(HydraConfig.get().runtime.output_dir)
    ranks = [name for name in os.environ if name.startswith(("SLURM", "MASTER_", "TORCHELASTIC"))]
    ranks += [name for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE") if name in os.environ]
    begun = time.time()
    (folder / "started").write_text(str(os.getpid()))
    if config.deaf:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("deaf")
    if config.child:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (folder / "child").write_text(str(child.pid))
    try:
        time.sleep(0 if config.a == "bad" else config.seconds)
    except KeyboardInterrupt:
        (folder / "checkpoints").mkdir(exist_ok=True)
        (folder / "checkpoints" / "last.ckpt").touch()
        sys.exit(130)
    if config.a == "bad" and not Path(config.mended).exists():
        print("this job is bad")
        sys.exit(3)
    result = {
        "status": "completed", "metrics": {"loss": float(len(str(config.a))) + config.b}, "ckpt_path": config.ckpt_path,
        "cores": sorted(os.sched_getaffinity(0)), "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"), "ranks": ranks,
        "begun": begun, "ended": time.time(), "number": HydraConfig.get().job.num,
        "samples_per_second": 10.0 * config.b,
    }  # fmt: skip
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
