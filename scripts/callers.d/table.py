"""docs/CALLERS.md: the table of callers, written from what a run found and never by hand."""
from dataclasses import astuple, dataclass
from pathlib import Path

HEAD = """# Callers

Real programs and their own test suites, run from disk and served by the preload with the tree gone; outcomes of single
tests, output and exit codes are compared. Written by `scripts/callers --full --record`, a row each time its caller is run;
`scripts/callers --list` names them. `quick` ones are part of `scripts/test`. A test that fails or is skipped on both
sides counts as the same: the kernel is the oracle, a plain tree on a read-only mount is what it is asked about. A suite
whose sides differ is run up to three times more: a test is let off if it ends now so, now so from disk, and served no other way.

One after another (`--jobs 1`), on two cores that others used too, what is `full` has taken about an hour and a half: 8 to 12
minutes for each of pyenv's CPythons, 12 for coreutils with its build, 6 for cargo-registry, 4 each for java-jars, libuv and
Debian's slow half. Several at a time take longer than that on few cores.

"""
COLUMNS = ("caller", "version", "what is served and run", "part", "from disk", "served", "date")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    caller: str
    version: str
    what: str
    part: str
    native: str
    served: str
    date: str

    @classmethod
    def of(cls, caller, job, complaints, date):
        served = "the same"
        if job.limited:
            served += f", but for {', '.join(job.limited)} (LIMITS.md)"
        if job.unsteady:
            served += f", but for {len(job.unsteady)} that differ from run to run, from disk too"
        if complaints:
            first = complaints[0].splitlines()[0]
            served = f"{len(complaints)} differ: {first}" + (", …" if len(complaints) > 1 else "")
        part = "quick" if caller.quick else "full"
        return cls(caller.name, job.program_version, caller.what, part, job.sides["native"].summary(), served, date)


def read(page: Path):
    """The rows of the page, by caller."""
    rows = {}
    if page.exists():
        for line in page.read_text(encoding="utf-8").splitlines():
            cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
            if line.startswith("| ") and len(cells) == len(COLUMNS) and cells[0] != COLUMNS[0]:
                rows[cells[0]] = Row(*cells)
    return rows


def record(page: Path, new, order):
    """Replaces the rows of what was run; a row whose caller is no more goes."""
    rows = {**read(page), **{row.caller: row for row in new}}
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    for name in order:
        if name in rows:
            lines.append("| " + " | ".join(cell.replace("|", "\\|").strip() or "-" for cell in astuple(rows[name])) + " |")
    page.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


def untested(page: Path, order):
    """What is wrong with the page: a row without a caller."""
    return [f"'{name}' is in the table, but no caller" for name in read(page) if name not in order]
