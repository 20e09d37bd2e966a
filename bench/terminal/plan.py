"""What `bench search --dry-run` prints: the plan, what was measured, what the whole would take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.formats import duration
from bench.frozen import words
from bench.terminal.sparkline import one_line
from bench.terminal.summary import short


def plan_lines(plan: Mapping[str, Any]) -> RenderableType:
    """One family's plan, as `search --dry-run --json` gives it."""
    images, trials = plan["images"], plan["trials"]
    already = f", {trials['finished']} are there, {trials['left']} are left" if plan["exists"] else ""
    data = ", ".join(f"{images[part]:,} {part}" for part in ("train", "validation", "test"))
    space = "; ".join(f"{one_line(name)} {words(domain)}" for name, domain in plan["space"].items())
    rows = {
        "study": one_line(plan["study"]),
        "data": f"{one_line(plan['dataset'])}: {data} (sealed), split {plan['split_fingerprint'][:12]}",
        "trials": f"{trials['target']}{already}; then {plan['seeds']} seeds of the winner",
        "workers": f"{plan['workers']} on {one_line(plan['device'])}",
        "frozen": ", ".join(f"{name} {value}" for name, value in plan["frozen"].items()),
        "space": space,
    }
    for model in plan["measured"]:
        config = " ".join(f"{name}={short(value)}" for name, value in model["config"].items())
        rows[model["name"]] = one_line(config)
    low, middle, high = plan["search_seconds"]
    final_low, final_middle, final_high = plan["final_seconds"]
    rows["search"] = (
        f"about {duration(middle)} ({duration(low)} if all were the smallest model, {duration(high)} the largest)"
    )
    if plan["seeds"]:
        rows["final"] = f"about {duration(final_middle)} ({duration(final_low)} to {duration(final_high)})"
    head = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    head.add_column(no_wrap=True, style="bold")
    head.add_column(overflow="fold")
    for name, said in rows.items():
        head.add_row(name, Text(one_line(said)))
    goes_on = {"none": "no trial is stopped", "one-pass": "trials come in no order"}
    rule = goes_on.get(plan["frozen"]["pruner"], "at each rung a third of the trials goes on")
    rule = f"Taken to be so: {rule}; epochs in the middle of their range."
    return Group(
        Text(one_line(plan["family"]), style="bold"), head, _measured(plan["measured"]), Text(rule, style="dim")
    )


def _measured(models: list[Mapping[str, Any]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("model", "parameters", "s an epoch", "s to start", "worker MB"):
        table.add_column(heading, justify="left" if heading == "model" else "right", no_wrap=True)
    for model in models:
        table.add_row(
            one_line(model["name"]),
            f"{model['parameters']:,}",
            f"{model['epoch_seconds']:.2f}",
            f"{model['start_seconds']:.2f}",
            f"{model['worker_bytes'] / 1e6:,.0f}",
        )
    return table
