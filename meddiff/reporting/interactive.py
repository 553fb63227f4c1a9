"""Figures in plotly's own terms, drawn in the browser over the SVG that stands in the page without scripts.

Each function gives ``{"data": [...], "layout": {...}}`` as plotly.js takes it, with the very numbers of the static
figure. Colors are the page's own, by name (``var(--accent)``): the script looks them up, in light and in dark. In a
figure of rows the y of a point is the number of its row; the script puts it where that row's text stands.
Names come from other people's files and plotly reads a little HTML in its texts: they are escaped here.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

Figure = dict[str, Any]
DASHES = ("solid", "dash", "dot", "dashdot")
FONT = "system-ui, sans-serif"
CLEAR = "rgba(0, 0, 0, 0)"
HOVER = {"hovertemplate": "%{customdata}<extra></extra>"}
AXIS = {"gridcolor": "var(--grid)", "zeroline": False, "showline": False, "ticks": ""}


def told(head: str, body: str) -> str:
    """What is said of a point that the pointer or an arrow key reaches, as plotly reads it."""
    return f"<b>{html.escape(head, quote=False)}</b><br>{html.escape(body, quote=False)}"


def intervals_figure(
    rows: Sequence[tuple[float, float, float, bool, str]],
    domain: tuple[float, float],
    *,
    reference: float | None = None,
) -> Figure:
    """Dots with whiskers, a row each: estimate, low, high, whether it is emphasized, and what is told of it."""
    traces = []
    for emphasized, color in ((False, "var(--plain)"), (True, "var(--accent)")):
        places = [at for at, row in enumerate(rows) if row[3] == emphasized and math.isfinite(row[0])]
        if not places:
            continue
        traces.append(HOVER | {
            "type": "scatter", "mode": "markers", "x": [rows[at][0] for at in places], "y": places,
            "customdata": [rows[at][4] for at in places],
            "marker": {"color": color, "size": 9, "opacity": 1, "line": {"color": "var(--ground)", "width": 1.5}},
            "error_x": {"type": "data", "symmetric": False, "color": color, "thickness": 2, "width": 0,
                        "array": [_reach(rows[at][2] - rows[at][0]) for at in places],
                        "arrayminus": [_reach(rows[at][0] - rows[at][1]) for at in places]},
        })  # fmt: skip
    axis = {"range": list(domain), "nticks": 6, "tickformat": "~g"}
    return _rows(traces, axis, [] if reference is None else [_upright(reference)])


def shares_figure(rows: Sequence[tuple[Sequence[float], Sequence[str]]], colors: Sequence[str]) -> Figure:
    """Stacked bars of percents, a row each: the shares, and what is told of each of them."""
    traces = [
        HOVER | {
            "type": "bar", "orientation": "h", "x": [shares[part] for shares, _ in rows], "y": list(range(len(rows))),
            "customdata": [texts[part] for _, texts in rows], "marker": {"color": color}, "width": 14,
        }
        for part, color in enumerate(colors)
    ]  # fmt: skip
    figure = _rows(traces, {"range": [0, 100], "ticksuffix": "%", "nticks": 6}, [])
    figure["layout"]["barmode"] = "stack"
    return figure


def lines_figure(
    lines: Sequence[Figure],
    *,
    titles: tuple[str, str],
    domains: tuple[tuple[float, float], tuple[float, float]],
    diagonal: bool = False,
    logarithmic_ticks: Sequence[float] = (),
) -> Figure:
    """Lines over two axes; ``lines`` are made by `line`. With ticks the y axis is logarithmic, its domain exponents."""
    x_axis, y_axis = (AXIS | {"range": list(domain), "nticks": 6} for domain in domains)
    y_axis |= {"type": "log", "tickvals": list(logarithmic_ticks)} if logarithmic_ticks else {}
    shapes = [_segment((domains[0][0], domains[1][0]), (domains[0][1], domains[1][1]))] if diagonal else []
    data = [entry | {"customdata": _points(entry, titles)} for entry in lines]
    margin = {"l": 48, "r": 20, "t": 4, "b": 32}
    return {"data": data, "layout": _layout(margin, xaxis=x_axis, yaxis=y_axis, shapes=shapes)}


def line(name: str, x: Sequence[float], y: Sequence[float], kind: int, *, emphasized: bool, dots: bool) -> Figure:
    """One line, or points with a line through them; ``kind`` numbers its dashes."""
    color = "var(--accent)" if emphasized else "var(--plain)"
    return HOVER | {
        "type": "scatter", "mode": "lines+markers" if dots else "lines", "name": html.escape(name, quote=False),
        "x": list(x), "y": list(y), "marker": {"color": color, "size": 7},
        "line": {"color": color, "width": 2.5 if emphasized else 2, "dash": DASHES[kind % len(DASHES)]},
    }  # fmt: skip


def _points(entry: Figure, titles: tuple[str, str]) -> list[str]:
    """What is told of each point of a line."""
    x_title, y_title = titles
    return [
        f"<b>{entry['name']}</b><br>" + html.escape(f"{x_title} {x:.4g}, {y_title} {y:.4g}", quote=False)
        for x, y in zip(entry["x"], entry["y"], strict=True)
    ]


def histogram_figure(bars: Sequence[tuple[float, float, int, bool, str]], median: float) -> Figure:
    """Bars of counts: left edge, width, count, whether it counts failures, and what is told of it."""
    trace = HOVER | {
        "type": "bar", "x": [left + width / 2 for left, width, *_ in bars], "y": [bar[2] for bar in bars],
        "width": [0.96 * bar[1] for bar in bars], "customdata": [bar[4] for bar in bars],
        "marker": {"color": ["var(--copy)" if bar[3] else "var(--accent)" for bar in bars]},
    }  # fmt: skip
    axes = {
        "xaxis": AXIS | {"range": [0, 1], "showgrid": False, "nticks": 6},
        "yaxis": AXIS | {"visible": False, "fixedrange": True, "range": [0, max((bar[2] for bar in bars), default=1)]},
    }
    margin = {"l": 4, "r": 20, "t": 4, "b": 32}
    return {"data": [trace], "layout": _layout(margin, shapes=[_upright(median)], **axes)}


def _rows(traces: list[Figure], x_axis: Figure, shapes: list[Figure]) -> Figure:
    y_axis = AXIS | {"visible": False, "fixedrange": True}
    margin = {"l": 16, "r": 16, "t": 0, "b": 18}  # room for half a tick label
    return {"data": traces, "layout": _layout(margin, xaxis=AXIS | x_axis, yaxis=y_axis, shapes=shapes)}


def _layout(margin: Figure, **more: Any) -> Figure:
    return {
        "margin": margin, "paper_bgcolor": CLEAR, "plot_bgcolor": CLEAR, "showlegend": False, "hovermode": "closest",
        "font": {"family": FONT, "size": 12, "color": "var(--muted)"},
        "hoverlabel": {"bgcolor": "var(--raised)", "bordercolor": "var(--rule)", "align": "left",
                       "font": {"family": FONT, "size": 12, "color": "var(--ink)"}},
        "modebar": {"bgcolor": CLEAR, "color": "var(--muted)", "activecolor": "var(--ink)"},
    } | more  # fmt: skip


def _upright(x: float) -> Figure:
    return _segment((x, 0), (x, 1)) | {"yref": "paper"}


def _segment(start: tuple[float, float], end: tuple[float, float]) -> Figure:
    return {"type": "line", "layer": "between", "x0": start[0], "y0": start[1], "x1": end[0], "y1": end[1],
            "line": {"color": "var(--muted)", "width": 1, "dash": "3px,3px"}}  # fmt: skip


def _reach(length: float) -> float:
    """How far a whisker reaches; none where an end is unknown."""
    return max(0.0, length) if math.isfinite(length) else 0.0
