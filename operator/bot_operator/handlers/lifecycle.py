"""Start and end of the process: the app runs as one task beside kopf's own. It must not decide anything."""

import asyncio

import kopf

from bot_operator.app import OperatorApp


def register_lifecycle(registry: kopf.OperatorRegistry, app: OperatorApp, stop: asyncio.Event) -> None:
    """Register start-up and cleanup; `stop` is set when the app ends by itself, which it must not.

    The app's task is kept as `memo.running`, where its error, if it had one, is found in the end.
    """

    @kopf.on.startup(registry=registry)
    async def start(memo: kopf.Memo, **_: object) -> None:
        memo.running = asyncio.create_task(app.run(), name="operator app")
        memo.running.add_done_callback(lambda _task: stop.set())

    @kopf.on.cleanup(registry=registry)
    async def end(memo: kopf.Memo, **_: object) -> None:
        memo.running.cancel()
        await asyncio.wait([memo.running])

    @kopf.on.login(registry=registry)
    def login(**kwargs: object) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)  # type: ignore[arg-type]
