"""Loaders to compare, each with `PACKAGES`, whose versions are shown, and `batches(work)`, which gives `Epochs`.

All have two workers, threads or processes as suits them, read from a warm page cache, and resample with a filter that
averages where it shrinks.
"""
