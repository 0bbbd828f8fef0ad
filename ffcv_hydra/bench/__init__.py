"""How fast a run's loader is, and where its time goes."""

from ffcv_hydra.bench.bench import bench as bench
from ffcv_hydra.bench.comparison import print_comparison as print_comparison
from ffcv_hydra.bench.explanation import explain as explain
from ffcv_hydra.bench.printing import print_report as print_report
from ffcv_hydra.bench.report import Report as Report
