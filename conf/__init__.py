"""The config groups; imported as `ffcv_hydra.conf`, so that other projects can build on them."""
