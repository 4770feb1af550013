"""The report: one HTML page from records alone, without model, data, GPU or network."""

from __future__ import annotations

from alp.report.page import Written, write_report

__all__ = ["Written", "write_report"]
