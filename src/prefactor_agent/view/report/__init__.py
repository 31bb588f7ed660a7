"""A call as one HTML file: no request to anywhere, opens from disk, reads without JavaScript."""

from .page import ReportError, render, write_report

__all__ = ["ReportError", "render", "write_report"]
