"""Write a dataset's betons: `python convert.py --help`."""

from ffcv_hydra.cli import convert

if __name__ == "__main__":
    convert()
