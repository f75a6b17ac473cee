"""Run by the test of docs/extending.md: what becomes of a kind of signal that was just added.

The kinds are read when the package is imported, so this is a process of its own. Its argument is
the directory of the new module; it prints what it found as JSON.
"""

import json
import sys

import backstop.core.signals as package

package.__path__.append(sys.argv[1])

import numpy as np  # noqa: E402 - only now is the new module among the kinds

from backstop.api.crd import MODEL_MONITOR, custom_resource_definition  # noqa: E402
from backstop.api.modelmonitor import ModelMonitorSpec  # noqa: E402
from backstop.api.problems import find_problems  # noqa: E402
from backstop.core.inquiry import inquiries  # noqa: E402
from backstop.core.samples import Series  # noqa: E402
from backstop.core.signals.rule import Asked, Subject  # noqa: E402
from backstop.core.tally import tally  # noqa: E402

NOW = 1_700_000_000.0
SIGNAL = {"name": "trained", "age": {"of": "model_trained_timestamp_seconds", "max": "30d"}}
SPEC = {"target": {"name": "fraud", "metricLabels": {"app": "fraud"}}, "signals": [SIGNAL]}


def measured(values: list[float]) -> object:
    """Return what the rule makes of these answers."""
    one = Series({}, np.full(len(values), NOW), np.array(values))
    answers = {"time": [one] if values else []}
    asked = Asked(answers, -1, 0.0, NOW, 300.0, Subject({}))
    return ModelMonitorSpec.model_validate(SPEC).signals[0].rule.measure(asked, tally([], []))


manifest = {
    "apiVersion": "backstop.dev/v1alpha1",
    "kind": "ModelMonitor",
    "metadata": {"name": "fraud"},
    "spec": SPEC,
}
asked_of = inquiries(ModelMonitorSpec.model_validate(SPEC), "ml", None, None)
print(  # noqa: T201 - the answer
    json.dumps(
        {
            "schema": json.dumps(custom_resource_definition(MODEL_MONITOR)),
            "problems": [str(one) for one in find_problems(manifest)],
            "questions": [q.promql for one in asked_of.values() for q in one.questions.values()],
            "young": measured([NOW - 86_400]),
            "old": measured([NOW - 31 * 86_400]),
            "unknown": [measured([]), measured([float("nan")]), measured([NOW + 60])],
        }
    )
)
