"""The report: one HTML page from records alone, without model, data, GPU or network."""

from __future__ import annotations

from alp.report.page import Picture, Written, write_report

__all__ = ["Picture", "Written", "write_report"]
