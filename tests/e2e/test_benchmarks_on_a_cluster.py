"""A smoke of each benchmark that needs a cluster, and what it counts."""

import math
from pathlib import Path

import pytest

from benchmarks import fleet, real_pods
from benchmarks.context import Context
from benchmarks.figures import Section
from support.cluster import Cluster, ImageSet


def _counts(section: Section) -> dict[str, float]:
    for figure in section.figures:
        assert all(math.isfinite(value) for value in figure.ours.values)
    return {figure.what: figure.ours.median for figure in section.figures}


@pytest.mark.slow
def test_the_fleets_benchmark_measures_all_that_it_promises(cluster: Cluster, tmp_path: Path) -> None:
    with Context(tmp_path, quick=True) as context:
        counts = _counts(fleet.measure_on(context, cluster))
    assert counts["idle fleet, API writes"] == 0
    assert counts["idle fleet, row writes"] == 0
    assert counts["restart, needless writes"] == 0


@pytest.mark.slow
def test_the_benchmark_of_real_pods_measures_all_that_it_promises(
    cluster: Cluster, images: ImageSet, tmp_path: Path
) -> None:
    with Context(tmp_path, quick=True) as context:
        counts = _counts(real_pods.measure_on(context, cluster, images))
    assert counts["restarts in 15 minutes"] == 0
