"""``backstop respond``: gives one fixed answer to every request.

Runs in the Deployment that Backstop makes for a monitor whose fallback is a default prediction.
"""

import sys

import click


@click.command(hidden=True)
@click.option("--host", envvar="POD_IP", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True)
@click.option("--answer", envvar="BACKSTOP_ANSWER", required=True, help="JSON of the answer.")
def respond(*, host: str, port: int, answer: str) -> None:
    """Give the default prediction ANSWER to every request."""
    from aiohttp import web
    from pydantic import ValidationError

    from backstop.api.modelmonitor import DefaultPrediction

    try:
        fixed = DefaultPrediction.model_validate_json(answer)
    except ValidationError as error:
        raise click.ClickException(f"the answer is not a default prediction: {error}") from None

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def respond_to(_: web.Request) -> web.Response:
        return web.Response(status=fixed.status, headers=fixed.headers, body=fixed.body.encode())

    app = web.Application()
    app.router.add_get("/backstop/healthz", healthz)
    app.router.add_route("*", "/{path:.*}", respond_to)
    print(f"answering on {host}:{port}", file=sys.stderr)
    web.run_app(app, host=host, port=port, access_log=None, print=None)
