"""Tables and progress bars on the terminal; plots as PNG; HTML pages with charts, players and images."""

from utils.report_utils.caption_pages import CaptionedClip, caption_page
from utils.report_utils.charts import BarChart
from utils.report_utils.markdown import markdown_table
from utils.report_utils.pages import (
    Block,
    Card,
    Content,
    Details,
    Figure,
    Grid,
    Note,
    Number,
    Page,
    Paragraph,
    Player,
    Table,
    Thumbnail,
)
from utils.report_utils.plots import Panel, plot_confusion, plot_curves
from utils.report_utils.terminal import print_table, progress_bar

__all__ = [
    "BarChart",
    "Block",
    "CaptionedClip",
    "Card",
    "Content",
    "Details",
    "Figure",
    "Grid",
    "Note",
    "Number",
    "Page",
    "Panel",
    "Paragraph",
    "Player",
    "Table",
    "Thumbnail",
    "caption_page",
    "markdown_table",
    "plot_confusion",
    "plot_curves",
    "print_table",
    "progress_bar",
]
