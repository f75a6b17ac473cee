"""All adapters of one operator, made in one place, and which of them performs which step."""

from dataclasses import dataclass
from typing import Self

from backstop.adapters.configuration import ConfigurationChanges
from backstop.adapters.endpoints import EndpointSlices
from backstop.adapters.jobs import KubernetesJobs
from backstop.adapters.kill_switch import ConfigMapKillSwitch
from backstop.adapters.notify.notifier import Notifications
from backstop.adapters.pods import WorkloadPods
from backstop.adapters.replicas import ScaleReplicas
from backstop.adapters.traffic.registry import Routers
from backstop.adapters.webhooks import SignedWebhooks
from backstop.adapters.workloads.registry import Workloads
from backstop.api.words import StepKind
from backstop.ports import KubeApi
from backstop.runtime import metrics
from backstop.runtime.actions.pause_rollout import PauseRollout
from backstop.runtime.actions.performer import Performer
from backstop.runtime.actions.promote import PromoteCandidate
from backstop.runtime.actions.restart import RestartPods
from backstop.runtime.actions.rollback import RollBackTarget
from backstop.runtime.actions.run_job import StartJob
from backstop.runtime.actions.scale import ScaleOut
from backstop.runtime.actions.tell import CallProgram, TellPeople
from backstop.runtime.actions.weights import MoveTraffic
from backstop.runtime.config import OperatorConfig
from backstop.runtime.measured import MeasuredKillSwitch


@dataclass(frozen=True, slots=True)
class Outside:
    """The adapters."""

    workloads: Workloads
    traffic: Routers
    endpoints: EndpointSlices
    replicas: ScaleReplicas
    pods: WorkloadPods
    jobs: KubernetesJobs
    configuration: ConfigurationChanges
    webhooks: SignedWebhooks
    notifier: Notifications
    kill_switch: MeasuredKillSwitch

    @classmethod
    def of(cls, api: KubeApi, config: OperatorConfig, namespace: str) -> Self:
        """Return adapters that work through ``api``; the kill switch lies in ``namespace``."""
        return cls(
            workloads=Workloads(api, config.targets),
            traffic=Routers(api, config.routers),
            endpoints=EndpointSlices(api),
            replicas=ScaleReplicas(api),
            pods=WorkloadPods(api),
            jobs=KubernetesJobs(api),
            configuration=ConfigurationChanges(api, secrets=config.secret_changes),
            webhooks=SignedWebhooks(config.webhooks),
            notifier=Notifications(
                config.notifications,
                count=lambda result: metrics.NOTIFICATIONS.labels(result).inc(),
            ),
            kill_switch=MeasuredKillSwitch(ConfigMapKillSwitch(api, namespace, config.kill_switch)),
        )

    def performers(self) -> dict[StepKind, Performer]:
        """Return who performs which step."""
        traffic = MoveTraffic(self.traffic, self.endpoints)
        return {
            StepKind.OPEN_CIRCUIT: traffic,
            StepKind.PROBE_CIRCUIT: traffic,
            StepKind.CLOSE_CIRCUIT: traffic,
            StepKind.SHIFT_TRAFFIC: traffic,
            StepKind.ROLLBACK: RollBackTarget(self.workloads),
            StepKind.SCALE: ScaleOut(self.replicas),
            StepKind.RESTART: RestartPods(self.workloads, self.pods),
            StepKind.PAUSE_ROLLOUT: PauseRollout(self.workloads),
            StepKind.PROMOTE: PromoteCandidate(self.workloads),
            StepKind.RUN_JOB: StartJob(self.jobs),
            StepKind.CALL_WEBHOOK: CallProgram(self.webhooks),
            StepKind.NOTIFY: TellPeople(self.notifier),
        }

    async def close(self) -> None:
        """Deliver what is pending, for a moment, and close connections."""
        await self.notifier.close()
        await self.webhooks.close()
