"""Turns rows into a table for people (plain or Markdown) and into JSON for programs."""
from measure import quartiles

COLUMNS = ("native", "velo", "overlay", "squashfuse")


def number(value):
    """Three significant digits or so, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


def target_text(row):
    """What brief §10 asks for, in words."""
    if row.target is None:
        return ""
    unit = "" if row.metric == "ratio" else f" {row.unit}"
    return f"<={row.target:g}{unit}" + (" added" if row.metric == "added" else "")


def cells(row):
    """name, one cell a mode, what was reached with its spread, target, verdict."""
    out = [f"{row.name} [{row.unit}]"]
    for mode in COLUMNS:
        values = row.samples.get(mode)
        out.append(number(quartiles(values)[1]) if values else "")
    reached = row.reached()
    out.append(f"{number(reached[1])} ({number(reached[0])}-{number(reached[2])})" if reached else "")
    out += [target_text(row), row.verdict()]
    return out


HEADINGS = ["what"] + list(COLUMNS) + ["reached (quartiles)", "target", ""]


def table(rows, markdown):
    """The whole table, grouped by section."""
    lines, sections = [], list(dict.fromkeys(row.section for row in rows))
    body = {section: [cells(row) for row in rows if row.section == section] for section in sections}
    everything = [HEADINGS] + [line for section in sections for line in body[section]]
    widths = [max(len(line[column]) for line in everything) for column in range(len(HEADINGS))]

    def render(line):
        padded = [line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        return "| " + " | ".join(padded) + " |" if markdown else "  ".join(padded).rstrip()

    for section in sections:
        lines += ["", f"### {section}" if markdown else section.upper()]
        if markdown:
            lines.append("")
        lines.append(render(HEADINGS))
        if markdown:
            lines.append("|" + "|".join("-" * (width + 1) + (":" if column else "-") for column, width in enumerate(widths)) + "|")
        lines += [render(line) for line in body[section]]
        notes = list(dict.fromkeys(f"{row.name}: {row.note}" for row in rows if row.section == section and row.note))
        if notes:
            lines += [""] + [f"- {note}" if markdown else f"    {note}" for note in notes]
    return "\n".join(lines)


def as_json(machine, rows, skipped):
    """A document with every sample, so that nothing has to be measured again to be summarised differently."""
    return {
        "schema": 1,
        "machine": machine,
        "rows": [
            {
                "section": row.section,
                "name": row.name,
                "unit": row.unit,
                "samples": row.samples,
                "median": {mode: quartiles(values)[1] for mode, values in row.samples.items() if values},
                "metric": row.metric,
                "reached": row.reached(),
                "target": row.target,
                "verdict": row.verdict(),
                "note": row.note,
            }
            for row in rows
        ],
        "skipped": [{"name": name, "why": why} for name, why in skipped],
    }
