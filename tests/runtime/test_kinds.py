"""Which kinds there are, asked of an API server that may be away for a while."""

import pytest

from backstop.ports import ForbiddenError, NotFoundError, OutsideError, UnavailableError
from backstop.runtime import kinds
from backstop.runtime.config import OperatorConfig
from backstop.runtime.options import Options


class Api:
    """Answers after some failures of each kind."""

    def __init__(self, *failures: OutsideError) -> None:
        self.failures = list(failures)

    async def get(self, path: str) -> dict[str, object]:
        if self.failures:
            raise self.failures.pop(0)
        if path != "/apis/apps/v1":
            raise NotFoundError(path)
        return {"resources": [{"name": "deployments"}]}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "ASK_AGAIN", 0.01)


async def test_an_api_server_that_is_away_is_waited_for():
    """A pod that ended instead would be started again ever later."""
    api = Api(UnavailableError("away"), UnavailableError("away"))
    found = await kinds.awaited(api, frozenset({"Deployment"}), patience=10.0)
    assert found == {"Deployment": ("apps", "v1", "deployments")}


async def test_patience_has_an_end():
    """What is said is what the API server said last."""
    with pytest.raises(UnavailableError, match="away"):
        await kinds.awaited(Api(*[UnavailableError("away")] * 50), None, patience=0.05)


async def test_a_refusal_is_not_waited_out():
    """A person has to change something."""
    api = Api(ForbiddenError("no rights"), ForbiddenError("no rights"))
    with pytest.raises(ForbiddenError):
        await kinds.awaited(api, frozenset({"Deployment"}), patience=10.0)


@pytest.mark.parametrize(
    ("named", "host", "inside"),
    [({}, "10.0.0.1", True), ({"context": "a"}, "10.0.0.1", False), ({}, None, False)],
)
def test_only_a_pod_waits(named, host, inside, monkeypatch):
    """Whoever types a command wants to see at once that the address is wrong."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    if host is not None:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    config = OperatorConfig.model_validate({"sources": {"default": {"url": "http://x"}}})
    assert Options(config, **named).in_cluster is inside
