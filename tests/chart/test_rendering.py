"""What the chart renders: accepted by the API server, safe, and with no right too many."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from typing import Any

import pytest
import yaml
from tests.chart.helm import CHART, MONITORING, Helm, HelmError, Object, of
from tests.chart.values import EVERYTHING, SETS, TENANTS

from backstop.core.needs import DEFAULT_PREDICTIONS, JOBS, ROUTERS, TARGETS, Need
from backstop.runtime.config import OperatorConfig

pytestmark = pytest.mark.cluster

NONE_BESIDE: dict[str, Any] = {
    "jobs": False,
    "defaultPredictions": False,
    "configMapChanges": False,
    "secretChanges": False,
}


def kubectl(*words: str, given: Object | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        ["kubectl", *words],  # noqa: S607
        input=None if given is None else json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("name", SETS)
def test_lint_finds_nothing(helm: Helm, name: str) -> None:
    """Not even a warning."""
    more = ("--set", "serviceMonitor.enabled=false,prometheusRule.enabled=false")
    said = helm.run("lint", "--strict", str(CHART), *more, values=SETS[name])
    assert "0 chart(s) failed" in said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"scope": "all"}, "scope"),
        ({"replicas": 0}, "replicas"),
        ({"replicass": 2}, "replicass"),
        ({"targets": ["Pod"]}, "targets"),
        ({"targets": []}, "targets"),
        ({"killSwitch": "Stop It"}, "killSwitch"),
        ({"budgets": {"blastRadius": "20"}}, "blastRadius"),
        ({"sources": {"default": {"url": "prometheus:9090"}}}, "url"),
        ({"sources": {"default": {"url": "https://me:secret@prometheus"}}}, "url"),
        ({"image": {"digest": "sha256:short"}}, "digest"),
        ({"scope": "namespaces"}, "needs at least one entry in `namespaces`"),
        ({"namespaces": ["a"]}, "`namespaces` has no effect with scope: cluster"),
        ({"webhooks": {"allowedHosts": ["a.example.com"]}}, "calls are signed"),
        (
            {"sources": {"default": {"url": "https://p", "ca": {"key": "ca.crt"}}}},
            "needs exactly one of `secret` and `configMap`",
        ),
        (
            {
                "sources": {
                    "default": {"url": "http://p", "bearerToken": {"secret": "a", "key": "b"}}
                }
            },
            "sources.default.bearerToken would be sent unencrypted",
        ),
        (
            {
                "sources": {
                    "default": {
                        "url": "http://p",
                        "basicAuth": {"username": "u", "secret": "a", "key": "b"},
                    }
                }
            },
            "sources.default.basicAuth would be sent unencrypted",
        ),
        (
            {
                "sources": {
                    "default": {
                        "url": "https://p",
                        "bearerToken": {"secret": "a", "key": "b"},
                        "basicAuth": {"username": "u", "secret": "a", "key": "b"},
                    }
                }
            },
            "give bearerToken or basicAuth, not both",
        ),
        ({"sources": {"default": {"url": "http://p:65536"}}}, "no port from 1 to 65535"),
        ({"notifications": {"url": "https://a:0/x"}}, "notifications.url: a:0 has no port"),
        *(
            ({"webhooks": {"allowedHosts": [host], "signingKey": {"secret": "s"}}}, said)
            for host, said in (
                ("a..example.com", '"a..example.com" is no host: write for example'),
                ("-a", '"-a" is no host'),
                ("a:", '"a:" is no host'),
                ("127.1", '"127.1" is no host'),
                ("*.10.0.0.7", '"*.10.0.0.7" is no host'),
                ("[::1", '"[::1" is no host'),
                ("a:65536", "a:65536 has no port from 1 to 65535"),
            )
        ),
        ({"networkPolicy": {"apiServer": {"ports": []}}}, "ports"),
        ({"podLabels": {"app.kubernetes.io/name": "a"}}, "podLabels must not set app.kubernetes"),
        ({"prometheusRule": {"enabled": True}}, "needs the CRDs of the Prometheus operator"),
        ({"serviceMonitor": {"enabled": True}}, "needs the CRDs of the Prometheus operator"),
    ],
)
def test_a_wrong_value_fails_with_a_sentence(helm: Helm, values: Any, said: str) -> None:
    """Before anything is installed; the sentence names the value."""
    with pytest.raises(HelmError) as caught:
        helm.render(values)
    assert said in str(caught.value)


@pytest.mark.usefixtures("monitoring")
@pytest.mark.parametrize("name", SETS)
def test_the_api_server_accepts_every_manifest(helm: Helm, name: str) -> None:
    """Each as it stands, hooks and definitions included, with unknown fields refused."""
    for namespace in ("ops", "team-a", "team-b"):
        kubectl("create", "namespace", namespace)
    for account in ("backstop", "given"):  # what a pod names must exist, even in a dry run
        kubectl("create", "serviceaccount", account, "-n", "ops")
    flags = ("backstop", str(CHART), "--namespace", "ops", *MONITORING)
    manifests = list(yaml.safe_load_all(helm.run("template", *flags, values=SETS[name])))
    for one in filter(None, manifests):
        strict = ("--dry-run=server", "--validate=strict", "--server-side", "--force-conflicts")
        place = one["metadata"].get("namespace", "ops")
        done = kubectl("apply", *strict, "-n", place, "-f", "-", given=one)
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr


@pytest.mark.parametrize("name", SETS)
def test_pods_pass_the_restricted_level(helm: Helm, name: str) -> None:
    """Enforced by the API server's own admission, also for those of the hooks."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": f"restricted-{name}", "labels": labels}
    kubectl(
        "create", "-f", "-", given={"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    )
    flags = ("backstop", str(CHART), "--namespace", "ops", *MONITORING)
    file = helm.home / "all.yaml"
    file.write_text(helm.run("template", *flags, values=SETS[name]))
    pods = list(_pods(kubectl("create", "--dry-run=client", "-o", "json", "-f", str(file)).stdout))
    assert len(pods) >= (1 if name == "bare" else 2)
    account = ("--as", "system:admin", "--as-group", "system:masters")
    for number, spec in enumerate(pods):
        pod = _pod(
            f"pod-{number}", {**spec, "serviceAccountName": "default", "priorityClassName": ""}
        )
        done = kubectl(
            "create", "--dry-run=server", "-n", metadata["name"], "-f", "-", *account, given=pod
        )
        assert done.returncode == 0, done.stderr
    loose = _pod("loose", {"containers": [{"name": "a", "image": "a"}]})
    refused = kubectl("create", "--dry-run=server", "-n", metadata["name"], "-f", "-", given=loose)
    assert "violates PodSecurity" in refused.stderr


def _pod(name: str, spec: Object) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def _pods(text: str) -> Iterable[Object]:
    """Yield the pod specs in the JSON documents that kubectl printed one after another."""
    decoder, place = json.JSONDecoder(), 0
    while text[place:].strip():
        place += len(text[place:]) - len(text[place:].lstrip())
        one, place = decoder.raw_decode(text, place)
        for item in one.get("items", [one]):
            spec = item.get("spec") or {}
            if item["kind"] == "Pod":
                yield spec
            elif item["kind"] in {"Deployment", "Job"}:
                yield spec["template"]["spec"]


# Rights


def granted(rules: Iterable[Object]) -> set[Need]:
    """Return each group, resource and verb of rules for any object."""
    return {
        Need(group, resource, verb)
        for rule in rules
        if not rule.get("resourceNames")
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def of_monitors(helm: Helm, **values: Any) -> set[Need]:
    """Return what the role for monitors and what they name grants, beside Backstop's own kinds."""
    values = {"targets": ["Deployment"], "routers": [], "permissions": NONE_BESIDE, **values}
    (role,) = [
        one
        for one in of("ClusterRole", helm.render(values))
        if one["metadata"]["name"] == "backstop"
    ]
    own = {"backstop.dev", "events.k8s.io"}
    return {one for one in granted(role["rules"]) if one.group not in own}


@pytest.mark.parametrize("kind", TARGETS)
def test_a_target_grants_what_it_needs_and_nothing_else(helm: Helm, kind: str) -> None:
    """The same table tells monitors what is missing."""
    assert of_monitors(helm, targets=[kind]) == TARGETS[kind]


@pytest.mark.parametrize("kind", ROUTERS)
def test_a_router_grants_what_it_needs_and_nothing_else(helm: Helm, kind: str) -> None:
    """Beside the target."""
    assert of_monitors(helm, routers=[kind]) == TARGETS["Deployment"] | ROUTERS[kind]


@pytest.mark.parametrize(
    ("permission", "needed"),
    [
        ("jobs", JOBS),
        ("defaultPredictions", DEFAULT_PREDICTIONS),
        ("configMapChanges", {Need("", "configmaps", "get")}),
        ("secretChanges", {Need("", "secrets", "get")}),
    ],
)
def test_each_permission_grants_its_verbs(helm: Helm, permission: str, needed: set[Need]) -> None:
    """And is off where it is not wanted."""
    found = of_monitors(helm, permissions={**NONE_BESIDE, permission: True})
    assert found == TARGETS["Deployment"] | needed


@pytest.mark.parametrize("values", [{}, TENANTS, EVERYTHING])
def test_nobody_may_list_secrets_or_do_everything(helm: Helm, values: Any) -> None:
    """In no set of values: no star, no listing of Secrets, no deleting but pods and incidents."""
    roles = [
        one
        for kind in ("Role", "ClusterRole")
        for one in of(kind, helm.render(values, *MONITORING))
        if not one["metadata"]["name"].endswith(("-edit", "-view"))
    ]
    assert roles
    for rule in (rule for role in roles for rule in role["rules"]):
        assert "*" not in (*rule["verbs"], *rule["resources"], *rule["apiGroups"])
        if "secrets" in rule["resources"]:
            assert rule["verbs"] == ["get"]
        if "delete" in rule["verbs"]:
            assert rule["resources"] in (["pods"], ["incidents"])


def test_scope_namespaces_has_no_role_of_the_whole_cluster(helm: Helm) -> None:
    """Targets are reached through a Role in each namespace that is listed."""
    rendered = helm.render(TENANTS)
    assert of("ClusterRoleBinding", rendered) == []
    names = {one["metadata"]["name"] for one in of("ClusterRole", rendered)}
    assert names == {"backstop-view", "backstop-edit"}
    bound = {one["metadata"].get("namespace") for one in of("RoleBinding", rendered)}
    assert bound >= {"team-a", "team-b"}


# Shape


def test_two_replicas_stand_apart_and_keep_one(helm: Helm) -> None:
    """By default: a budget for disruptions, and different nodes and zones."""
    rendered = helm.render()
    (deployment,) = of("Deployment", rendered)
    assert deployment["spec"]["replicas"] == 2
    (budget,) = of("PodDisruptionBudget", rendered)
    assert budget["spec"]["maxUnavailable"] == 1
    keys = [
        one["topologyKey"]
        for one in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    ]
    assert keys == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]


def test_each_shard_is_a_deployment_of_its_own(helm: Helm) -> None:
    """With its own selector, budget and lease."""
    rendered = helm.render(EVERYTHING, *MONITORING)
    deployments = of("Deployment", rendered)
    shards = [
        [
            word
            for word in one["spec"]["template"]["spec"]["containers"][0]["args"]
            if "shard" in word
        ]
        for one in deployments
    ]
    assert shards == [["--shard=0/3"], ["--shard=1/3"], ["--shard=2/3"]]
    selectors = {json.dumps(one["spec"]["selector"], sort_keys=True) for one in deployments}
    assert len(selectors) == len(of("PodDisruptionBudget", rendered)) == 3


def test_each_pod_is_scraped_once(helm: Helm) -> None:
    """Also where each shard has a Service of its own, for Flagger to ask."""
    rendered = helm.render(EVERYTHING, *MONITORING)
    (monitor,) = of("ServiceMonitor", rendered)
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    services = [one["metadata"] for one in of("Service", rendered)]
    assert [one["name"] for one in services if wanted <= one["labels"].items()] == ["backstop"]
    assert {one["name"] for one in services} >= {f"backstop-{shard}" for shard in range(3)}


def test_definitions_can_be_left_out_and_left_behind(helm: Helm) -> None:
    """`crds.enabled` and `crds.keep`."""
    kept = of("CustomResourceDefinition", helm.render())
    assert len(kept) == 3
    assert {one["metadata"]["annotations"]["helm.sh/resource-policy"] for one in kept} == {"keep"}
    removed = of("CustomResourceDefinition", helm.render({"crds": {"keep": False}}))
    assert all(
        "helm.sh/resource-policy" not in (one["metadata"].get("annotations") or {})
        for one in removed
    )
    assert of("CustomResourceDefinition", helm.render({"crds": {"enabled": False}})) == []


def test_a_change_of_the_configuration_starts_new_pods(helm: Helm) -> None:
    """Since it is read at the start."""

    def checksum(values: Any) -> str:
        (one,) = of("Deployment", helm.render(values))
        found: str = one["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
        return found

    assert checksum({}) != checksum({"budgets": {"actionsPerHour": 7}})


def test_the_configuration_is_one_that_the_operator_reads(helm: Helm) -> None:
    """Each value arrives under its key."""
    (config,) = [
        one for one in of("ConfigMap", helm.render(TENANTS)) if "config.yaml" in one["data"]
    ]
    read = OperatorConfig.model_validate(yaml.safe_load(config["data"]["config.yaml"]))
    source = read.sources["default"]
    assert (source.timeout, source.tenant_label) == ("3s", "namespace")
    assert source.headers == {"X-Scope-OrgID": "ml"}
    assert str(source.bearer_token_file) == "/etc/backstop/sources/default/token"
    assert read.targets == ["Deployment", "StatefulSet"]
    assert not read.secret_changes


def test_a_password_is_mounted_and_never_in_the_configuration(helm: Helm) -> None:
    """The user's name is; a name of digits stays text."""
    login = {"username": "1234", "secret": "grafana", "key": "password"}
    rendered = helm.render({"sources": {"default": {"url": "https://p", "basicAuth": login}}})
    (config,) = of("ConfigMap", rendered)
    read = OperatorConfig.model_validate(yaml.safe_load(config["data"]["config.yaml"]))
    found = read.sources["default"].basic_auth
    assert found is not None
    assert (found.username, str(found.password_file)) == (
        "1234",
        "/etc/backstop/sources/default/password",
    )
    (deployment,) = of("Deployment", rendered)
    parts = deployment["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"]
    item = {"key": "password", "path": "sources/default/password"}
    assert {"secret": {"name": "grafana", "items": [item]}} in parts


def test_hosts_and_addresses_of_any_form_pass(helm: Helm) -> None:
    """What the operator reads is not refused by the chart."""
    hosts = ["a.example.com", "A.b.:8443", "a_b.ns.svc", "*.b.com:1", "[::1]:80", "10.0.0.7:8443"]
    values: dict[str, Any] = {
        "webhooks": {"allowedHosts": hosts, "signingKey": {"secret": "s"}},
        "notifications": {"url": "http://[fd00::1]:8080?x=1/2:99999"},
        "sources": {"default": {"url": "http://[fd00::2]:9090/a:99999/b"}},
    }
    (config,) = of("ConfigMap", helm.render(values))
    read = yaml.safe_load(config["data"]["config.yaml"])
    assert read["webhooks"]["allowedHosts"] == hosts
    assert read["sources"]["default"]["url"] == "http://[fd00::2]:9090/a:99999/b"


# Names and places


def hooks(helm: Helm, values: Any) -> dict[str, Object]:
    """Return what the hooks of a release `backstop` are made of, by kind and name."""
    flags = ("backstop", str(CHART), "--namespace", "ops", *MONITORING)
    found = yaml.safe_load_all(helm.run("template", *flags, values=values))
    return {
        f"{one['kind']}/{one['metadata']['name']}": one
        for one in found
        if one and "helm.sh/hook" in (one["metadata"].get("annotations") or {})
    }


def test_the_network_policy_covers_the_hooks(helm: Helm) -> None:
    """Where all else is denied, an uninstall still reaches the API server."""
    (policy,) = of("NetworkPolicy", helm.render(TENANTS))
    (selected,) = policy["spec"]["podSelector"]["matchExpressions"]
    names = {
        (one.get("spec", {}).get("template") or one)["metadata"]["labels"]["app.kubernetes.io/name"]
        for key, one in hooks(helm, TENANTS).items()
        if key.startswith(("Job/", "Pod/"))
    }
    assert {"backstop", *names} == set(selected["values"])
    readers = policy["spec"]["ingress"][0]["from"]
    assert readers[0] == {"namespaceSelector": {}}
    assert "backstop-doctor" in json.dumps(readers[1])


def test_no_ports_is_not_all_ports(helm: Helm) -> None:
    """An empty list of the policy closes what it leaves out, and nothing is opened by it."""
    values = {"networkPolicy": {"enabled": True, "ports": []}}
    (policy,) = of("NetworkPolicy", helm.render(values))
    assert all(one["ports"] for one in policy["spec"]["egress"])


def test_what_is_dialled_is_not_blocked(helm: Helm) -> None:
    """Ports that stand in URLs and hosts are open, over both families of addresses."""
    values: dict[str, Any] = {
        "networkPolicy": {"enabled": True, "ports": [10901]},
        "sources": {
            "default": {"url": "http://thanos:10902/x"},
            "other": {"url": "http://[fd00::1]:8428"},
            "third": {"url": "https://mimir/prometheus"},
        },
        "notifications": {"url": "http://receiver?token=a:1"},
        "webhooks": {"allowedHosts": ["a:8443", "b"], "signingKey": {"secret": "s"}},
    }
    (policy,) = of("NetworkPolicy", helm.render(values))
    *_, dialled = policy["spec"]["egress"]
    assert "to" not in dialled
    assert {one["port"] for one in dialled["ports"]} == {10901, 10902, 8428, 443, 80, 8443}
    blocks = [one["ipBlock"]["cidr"] for one in policy["spec"]["egress"][1]["to"]]
    assert blocks == ["0.0.0.0/0", "::/0"]


@pytest.mark.parametrize(
    ("release", "values", "name"),
    [
        ("backstop", {}, "backstop"),
        ("a", {}, "a-backstop"),
        ("a", {"nameOverride": "guard"}, "a-guard"),
        ("guard-a", {"nameOverride": "guard"}, "guard-a"),
        ("a", {"fullnameOverride": "ours"}, "ours"),
        ("a" * 53, {}, "a" * 40),
    ],
)
def test_names_can_be_chosen(helm: Helm, release: str, values: Any, name: str) -> None:
    """So that two releases in one cluster do not claim the same cluster roles."""
    flags = (release, str(CHART), "--namespace", "ops", *MONITORING)
    text = helm.run("template", *flags, values={**EVERYTHING, **values})
    ours = {
        one["metadata"]["name"]
        for one in yaml.safe_load_all(text)
        if one and one["kind"] != "CustomResourceDefinition"
    }
    assert all(one == name or one.startswith(f"{name}-") for one in ours)
    assert all(len(one) <= 63 for one in ours)


def test_pods_of_hooks_run_where_the_operator_may(helm: Helm) -> None:
    """On tainted nodes, beside injected proxies, or under a quota an uninstall must not hang."""
    rendered = helm.render(EVERYTHING, *MONITORING)
    (wanted, *_) = of("Deployment", rendered)
    template = wanted["spec"]["template"]
    found = hooks(helm, EVERYTHING)
    job, doctor = found["Job/backstop-stand-down"], found["Pod/backstop-doctor"]
    for pod in (job["spec"]["template"], doctor):
        for key in ("tolerations", "nodeSelector", "priorityClassName", "imagePullSecrets"):
            assert pod["spec"][key] == template["spec"][key]
        assert pod["metadata"]["labels"]["team"] == "platform"
        assert pod["metadata"]["annotations"]["team"] == "platform"
        (ours,), (theirs,) = pod["spec"]["containers"], template["spec"]["containers"]
        for key in ("resources", "env", "volumeMounts"):
            assert ours[key] == theirs[key]
        assert pod["spec"]["volumes"] == template["spec"]["volumes"]


def test_without_rbac_no_role_is_made_at_all(helm: Helm) -> None:
    """Whoever installs may have no right to make roles, also not at the uninstall."""
    values = {"rbac": {"create": False, "aggregate": False}}
    kinds = {name.partition("/")[0] for name in hooks(helm, values)}
    assert kinds == {"Job", "Pod"}
    assert {one["kind"] for one in helm.render(values)}.isdisjoint({"Role", "ClusterRole"})


def test_standing_down_says_what_it_waits_for_before_its_time_is_over(helm: Helm) -> None:
    """A Job that runs out of time takes its pod, and what that has said, with it."""
    job = hooks(helm, {"standDown": {"timeoutSeconds": 100}})["Job/backstop-stand-down"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert job["spec"]["activeDeadlineSeconds"] == 100
    assert "--timeout=50s" in container["args"]


def test_the_doctor_may_try_a_monitor_under_the_admission_policy(helm: Helm) -> None:
    """The policy asks whether the account may patch what the trial names, in any scope."""
    rules = hooks(helm, TENANTS)["Role/backstop-doctor"]["rules"]
    named = {(one["resources"][0], *one.get("resourceNames", ()), *one["verbs"]) for one in rules}
    patched = {("deployments", "doctor", "patch"), ("httproutes", "doctor", "patch")}
    assert named == {("modelmonitors", "create"), *patched}
    (rule,) = hooks(helm, {})["Role/backstop-doctor"]["rules"]
    assert rule["verbs"] == ["create"]


def test_own_annotations_win(helm: Helm) -> None:
    """Who scrapes by other means can say so; no key stands twice."""
    text = helm.run(
        "template",
        "backstop",
        str(CHART),
        "--show-only",
        "templates/deployment.yaml",
        values={"podAnnotations": {"prometheus.io/scrape": "false"}},
    )
    assert text.count("prometheus.io/scrape:") == 1
    annotations = yaml.safe_load(text)["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "false"
    assert "checksum/config" in annotations


def test_names_of_digits_stay_text(helm: Helm) -> None:
    """A namespace may be called 2024, a release 7, and a key 1."""
    values = {
        "scope": "namespaces",
        "namespaces": ["2024", "2025"],
        "killSwitch": "911",
        "sources": {"default": {"url": "https://p", "bearerToken": {"secret": "42", "key": "1"}}},
    }
    flags = ("7", str(CHART), "--namespace", "365")
    rendered = [
        one for one in yaml.safe_load_all(helm.run("template", *flags, values=values)) if one
    ]
    for one in rendered:
        for place in (one["metadata"], *one.get("subjects", ())):
            assert isinstance(place.get("namespace", ""), str)
        assert all(isinstance(label, str) for label in (one["metadata"]["labels"]).values())
    bound = {one["metadata"].get("namespace") for one in of("RoleBinding", rendered)}
    assert bound >= {"2024", "2025"}
    (deployment,) = of("Deployment", rendered)
    pod = deployment["spec"]["template"]["spec"]
    secret = pod["volumes"][0]["projected"]["sources"][1]["secret"]
    assert secret == {"name": "42", "items": [{"key": "1", "path": "sources/default/token"}]}
    assert {"--namespace=2024", "--namespace=2025"} <= set(pod["containers"][0]["args"])
    names = [rule.get("resourceNames") for one in of("Role", rendered) for rule in one["rules"]]
    assert ["911"] in names
