"""What `bench search` and `bench final` share: typed options -> the chain, and what it found -> the screen."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from bench.commands.common import console, print_json, say
from bench.options import Options

if TYPE_CHECKING:
    from bench.family import Family


def asked(options: argparse.Namespace) -> Options:
    """The options that were typed, as the chain takes them."""
    given = {field.name: getattr(options, field.name) for field in fields(Options) if field.name in options}
    address = options.origins.get("ray-address")
    if address is not None and address.kind != "flag" and options.engine != "ray":
        given["ray_address"] = None  # a place that serves every search says where the cluster is, not to search there
    return Options(**given)


def families_of(options: argparse.Namespace) -> list[Family]:
    from bench.chain import load_families

    return load_families(options.families, dict(getattr(options, "fixed", [])), dict(getattr(options, "ranges", [])))


def run_and_print(options: argparse.Namespace, families: Sequence[Family], search_first: bool) -> None:
    from bench import chain
    from bench.references import untested
    from bench.terminal.summary import summary

    found = chain.run_families(asked(options), families, search_first)
    for one in found:
        if options.with_reference and one.final is not None and one.final.reference is None:
            say(untested(one.final))
    documents = [chain.document(one.outcome, one.standing) for one in found]
    if options.json:
        print_json(documents[0] if len(documents) == 1 else {"schema": 1, "searches": documents})
        return
    out = console()
    for document in documents:
        out.print(summary(document))
