"""The template's Jinja filters: they validate each answer after its prompt and infer defaults from the data.

An invalid answer is asked for again on a terminal. Elsewhere it ends generation with one line, before anything is written.
Standard library only; Parquet needs pyarrow.
"""

import importlib
import sys
from collections.abc import Callable

from jinja2 import Environment
from jinja2.ext import Extension

from .cloud import (
    checked_bucket,
    checked_gcp_project,
    checked_region,
    checked_scale_tier,
    google_cloud,
    suggested_bucket,
)
from .dataset import (
    checked_data_path,
    checked_features,
    checked_label,
    inferred_features,
    inferred_label,
    listed_features,
)
from .interview import asking_again, check_given_names
from .names import checked_project_name, checked_slug, checked_smoke_test, suggested_slug
from .quoting import parsed, quoted

CHECKS: dict[str, Callable[..., str]] = {
    "bucket": checked_bucket,
    "data_path": checked_data_path,
    "gcp_project": checked_gcp_project,
    "label": checked_label,
    "project_name": checked_project_name,
    "project_slug": checked_slug,
    "region": checked_region,
    "scale_tier": checked_scale_tier,
    "smoke_test": checked_smoke_test,
}
FILTERS = (
    *(asking_again(prompt, check) for prompt, check in CHECKS.items()),
    asking_again("features", checked_features, listed_features),
    inferred_features,
    inferred_label,
    parsed,
    quoted,
    suggested_bucket,
    suggested_slug,
)


class TemplateExtension(Extension):
    """Registers the filters above, each under its function's name."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        check_given_names({*CHECKS, "features"})
        environment.filters.update({function.__name__: function for function in FILTERS})
        # Read now: cruft deletes the template's checkout while this module, imported from it, is still in use.
        google_cloud()
        unload_modules()


def unload_modules() -> None:
    """Make each commit of the template use its own filters.

    `cruft update` renders two commits in one process, from one path. The newer one would use the imported modules of the
    older one, which fails if it needs a filter that the older one lacks.
    """
    if "cruft" in sys.modules:
        for name in [each for each in sys.modules if each.partition(".")[0] == __name__]:
            del sys.modules[name]
        importlib.invalidate_caches()
