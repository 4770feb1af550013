"""Figures as elements of the page."""

from __future__ import annotations

import re
from html import escape

from alp.report.figures.style import TEXT


def inline(svg: str, label: str) -> str:
    """The ``<svg>`` element of a file that Matplotlib wrote, named ``label`` for who cannot see it:
    as wide as its place, in the page's text colour and font.

    The patterns begin with the ``<`` of a tag, which the text of a name cannot hold.
    """
    element = svg[svg.index("<svg") :]
    element = element.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)
    element = re.sub(r' (width|height)="[\d.]+pt"', "", element, count=2)
    element = re.sub(r"\s*<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r'<g id="[^"]*"', "<g", element)
    element = re.sub(r'(<text style="[^"]*?)font-family: [^;"]*; ', r"\1", element)
    return element.replace(TEXT, "currentColor")
