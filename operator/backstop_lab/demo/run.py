"""The demo's command line and its order of events; see `python -m backstop_lab.demo --help`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from backstop.adapters.kube import KubernetesApi
from backstop.api.modelmonitor import Mode
from backstop.ports import OutsideError
from backstop_lab.demo import charts, cluster, display, environment, manifests, report, results
from backstop_lab.demo.environment import NAMESPACE, DemoError, Environment
from backstop_lab.demo.processes import Child, running
from backstop_lab.demo.records import RecordReader
from backstop_lab.demo.scenarios import ALL
from backstop_lab.demo.stage import Stage

_RATE = "100"
_INTERRUPTED = 130
_LOG_WIDTH = 140


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo. Returns 0 if each scenario ended well, 1 if not, and 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        places = environment.read(os.environ)
        options.out.mkdir(parents=True, exist_ok=True)
        return asyncio.run(_interruptible(options, places))
    except (DemoError, OutsideError) as error:
        print(f"backstop demo: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("backstop demo: interrupted; all that it started was stopped.", file=sys.stderr)
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m backstop_lab.demo",
        description="Breaks a model on a real cluster in four ways and shows what Backstop does.",
    )
    parser.add_argument(
        "--scenario", action="append", choices=list(ALL), help="play only this one; may be repeated"
    )
    parser.add_argument(
        "--no-observe",
        action="store_true",
        help="skip the second run, which shows what users suffer without Backstop",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo-report"),
        help="directory of the report (default: %(default)s)",
    )
    parser.add_argument("--context", help="the kubeconfig's context (default: the current one)")
    parser.add_argument(
        "--image",
        default=manifests.PLACEHOLDER_IMAGE,
        help="image of the demo's pods; the lab needs none",
    )
    return parser


async def _interruptible(options: argparse.Namespace, places: Environment) -> int:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await _run(options, places)


async def _run(options: argparse.Namespace, places: Environment) -> int:
    out: Path = options.out
    if options.context:
        await cluster.use_context(options.context, out)
    console = Console()
    if not console.is_terminal:
        console = Console(width=_LOG_WIDTH)
    names: list[str] = options.scenario or list(ALL)
    with display.choose(console) as screen:
        async with _stage(places, options.image, out, screen) as stage:
            played = [await stage.play(ALL[name](), Mode.ACT) for name in names]
            if not options.no_observe:
                played += await _without_backstop(stage, played)
    results.dump(played, out / "results.json")
    pictures = await asyncio.to_thread(charts.draw_all, played, out)
    report.write(played, pictures, out / "report.md")
    console.print(report.terminal_table(played))
    console.print(f"Report: {out / 'report.md'}")
    return exit_code(played, console)


async def _without_backstop(stage: Stage, acted: Sequence[results.Result]) -> list[results.Result]:
    await stage.set_mode(Mode.OBSERVE)
    return [
        await stage.play(ALL[one.scenario](), Mode.OBSERVE, lasting=one.lasted) for one in acted
    ]


@asynccontextmanager
async def _stage(
    places: Environment, image: str, out: Path, screen: display.Display
) -> AsyncIterator[Stage]:
    """Set everything up, and take it down again however the demo ends."""
    async with AsyncExitStack() as stack:
        api = await KubernetesApi.connect(kubeconfig=os.environ.get("KUBECONFIG"))
        stack.push_async_callback(api.close)
        screen.note("installing the custom resources, the model and its monitor")
        await _install(image)
        operator = await stack.enter_async_context(_operator(places, out))
        stack.push_async_callback(_clean_up)
        await cluster.wait_available()
        records = out / "requests.csv"
        records.unlink(missing_ok=True)
        load = await stack.enter_async_context(_load(places, records, out))
        screen.note(f"the model answers; {_RATE} requests/s through the gateway from now on")
        yield Stage(api, RecordReader(records), screen, (operator, load))


async def _install(image: str) -> None:
    objects = manifests.load(image)
    monitors = [item for item in objects if item["kind"] == "ModelMonitor"]
    workloads = [one for one in objects if one not in monitors]
    await asyncio.gather(_install_definitions(), _install_workloads(workloads))
    await cluster.apply(monitors)


async def _install_definitions() -> None:
    definitions = await cluster.command(sys.executable, "-m", "backstop", "crds")
    await cluster.command("kubectl", "apply", "--server-side", "-f", "-", given=definitions)
    crds = ("crd/modelmonitors.backstop.dev", "crd/incidents.backstop.dev")
    await cluster.command("kubectl", "wait", "--for=condition=Established", *crds)


async def _install_workloads(objects: list[dict[str, Any]]) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    await cluster.apply([namespace])
    await cluster.apply(objects)


@asynccontextmanager
async def _operator(places: Environment, out: Path) -> AsyncIterator[Child]:
    command = [sys.executable, "-m", "backstop", "run", "--prometheus", places.prometheus_url]
    # Only the demo's namespace, so that a Backstop which runs in this cluster is left alone.
    mine = ["--namespace", NAMESPACE, "--lease-namespace", NAMESPACE]
    # In the lab all pods share this machine, so only loopback and any free port.
    health = ["--health-host", "127.0.0.1", "--health-port", "0", "--log-format", "json"]
    async with running("backstop", [*command, *mine, *health], out / "backstop.log") as child:
        yield child


@asynccontextmanager
async def _load(places: Environment, records: Path, out: Path) -> AsyncIterator[Child]:
    command = [sys.executable, "-m", "backstop_lab.demo.load", "--rate", _RATE]
    arguments = ["--url", places.gateway_url, "--host", environment.HOST, "--out", str(records)]
    async with running("load", [*command, *arguments], out / "load.log") as child:
        yield child


async def _clean_up() -> None:
    """Delete what the demo made. The monitor goes first, while the operator still serves it."""
    with suppress(DemoError):
        flags = ("--ignore-not-found", "--timeout=5s")
        await cluster.command("kubectl", "-n", NAMESPACE, "delete", "modelmonitor", "--all", *flags)
        await cluster.command("kubectl", "delete", "namespace", NAMESPACE, "--wait=false")


def exit_code(played: Sequence[results.Result], console: Console) -> int:
    """Say what was not seen, and return 0 if all was and 1 otherwise."""
    for result in played:
        for text in result.unmet:
            console.print(f"{result.title} did not end well, not seen: {text}", markup=False)
    return 0 if all(result.ended_well for result in played) else 1
