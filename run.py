"""Train, evaluate or predict: `python run.py --help`."""

from ffcv_hydra.cli import run

if __name__ == "__main__":
    run()
