"""On `PYTHONPATH` while `python -m ffcv_hydra run-ffcv` runs a program: Python imports `sitecustomize` as it starts."""
