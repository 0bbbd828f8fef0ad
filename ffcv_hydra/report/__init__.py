"""A run's folder as one page to look at: `report.html`."""

from ffcv_hydra.report.report import write_report as write_report
