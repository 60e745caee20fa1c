# SPDX-License-Identifier: Apache-2.0
"""What is in a store: its results listed, searched, counted and called by name.

`Catalogue` answers from `catalogue.sqlite`, which is derived from the store and brought up to date before each answer.
"""

from pytrace_cas.catalogue.catalogue import Catalogue, CatalogueFailed
from pytrace_cas.catalogue.pages import Page
from pytrace_cas.catalogue.query import FILTER_HELP, InvalidQuery, Match, Query, path_match
from pytrace_cas.catalogue.references import AmbiguousReference, UnknownReference
from pytrace_cas.catalogue.rows import ActionRow, described_row
from pytrace_cas.catalogue.statistics import Statistics, described_statistics

__all__ = [
    "FILTER_HELP",
    "ActionRow",
    "AmbiguousReference",
    "Catalogue",
    "CatalogueFailed",
    "InvalidQuery",
    "Match",
    "Page",
    "Query",
    "Statistics",
    "UnknownReference",
    "described_row",
    "described_statistics",
    "path_match",
]
