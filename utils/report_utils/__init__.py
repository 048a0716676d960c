"""Tables and progress bars on the terminal; plots as PNG."""

from utils.report_utils.plots import Panel, plot_curves
from utils.report_utils.terminal import print_table, progress_bar

__all__ = ["Panel", "plot_curves", "print_table", "progress_bar"]
