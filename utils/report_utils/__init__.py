"""Tables and progress bars on the terminal; plots as PNG; HTML pages with charts, players and images."""

from utils.report_utils.caption_pages import CaptionedClip, caption_page
from utils.report_utils.charts import BarChart
from utils.report_utils.class_pages import SystemScores, WrongRecording, class_rows, classification_page
from utils.report_utils.class_plots import plot_abstention, plot_confusion, plot_reliability
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
from utils.report_utils.plots import Panel, plot_curves
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
    "SystemScores",
    "Table",
    "Thumbnail",
    "WrongRecording",
    "caption_page",
    "class_rows",
    "classification_page",
    "markdown_table",
    "plot_abstention",
    "plot_confusion",
    "plot_curves",
    "plot_reliability",
    "print_table",
    "progress_bar",
]
