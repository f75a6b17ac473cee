"""The runbooks that hold where a monitor has none of its own, by cause.

Mitigation first, then repair, then a word to people; what cannot help is skipped with a reason.
"""

from typing import Final

from backstop.api.runbook import RunbookSpec

_TO_THE_FALLBACK: Final = {
    "name": "to-the-fallback",
    "description": "Users get the fallback's answers while the target fails. The circuit probes"
    " the target by itself and closes once it is healthy.",
    "openCircuit": {},
}

BUILT_IN: Final = RunbookSpec.model_validate(
    {
        "description": "The built-in runbook of Backstop.",
        "release": [
            _TO_THE_FALLBACK,
            {
                "name": "back-to-the-good-revision",
                "description": "The newest revision is to blame: the last good one serves again."
                " Find out what the release changed before it is rolled out once more.",
                "rollback": {},
            },
            {
                "name": "tell",
                "notify": {"text": "A release was at fault. Fix it today, before the next one."},
            },
        ],
        "data": [
            _TO_THE_FALLBACK,
            {
                "name": "freeze-the-rollout",
                "description": "No new version is rolled out on data that is broken.",
                "pauseRollout": {},
            },
            {
                "name": "back-where-that-helps",
                "description": "Only where an earlier version demonstrably handles this data.",
                "when": {"any": ["RollbackHelps"]},
                "rollback": {},
            },
            {
                "name": "tell-the-owner-of-the-pipeline",
                "notify": {
                    "to": "owner of the data pipeline",
                    "text": "The data that reaches the model is broken: look at its source.",
                },
            },
        ],
        "model": [
            _TO_THE_FALLBACK,
            {
                "name": "back-where-that-helps",
                "description": "Only where an earlier version is demonstrably better.",
                "when": {"any": ["RollbackHelps"]},
                "rollback": {},
            },
            {
                "name": "tell-the-owner-of-the-model",
                "notify": {
                    "to": "owner of the model",
                    "text": "Data and system are healthy, the model is not: investigate the"
                    " training data.",
                },
            },
        ],
        "infrastructure": [
            _TO_THE_FALLBACK,
            {
                "name": "restart-the-bad-pod",
                "description": "One pod carries most of the fault; its controller makes another.",
                "when": {"any": ["OnePod"]},
                "restart": {"pods": "Bad"},
            },
            {
                "name": "scale-out",
                "description": "More pods for more load, at most twice what there was.",
                "when": {"any": ["Saturated", "Slow"], "none": ["OnePod", "BothFail"]},
                "scale": {"by": "50%"},
            },
            {
                "name": "tell",
                "notify": {"text": "What the model runs on is at fault: look at nodes and limits."},
            },
            {
                "name": "restart",
                "description": "What scaling out does not cure, a fresh start may.",
                "when": {"any": ["Saturated", "Slow"], "none": ["OnePod", "BothFail"]},
                "restart": {},
            },
        ],
    }
)
"""Steps for every cause."""
