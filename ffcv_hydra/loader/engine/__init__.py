"""Threads, memory and storage: what runs a plan."""
