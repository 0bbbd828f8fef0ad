"""Launcher and sweepers for Hydra, which looks for plugins nowhere else; the logic is in `ffcv_hydra.sweeps`."""
