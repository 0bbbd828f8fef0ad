"""Sweeps: one fresh process per job, scheduling, resuming, results, and the search with Optuna.

Nothing heavy is imported before it is needed: Hydra looks at its plugins, and they at this package, at every start.
"""
