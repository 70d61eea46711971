"""Rows and clusters as sentences: `a_row(7).disabled()`, `a_bot(7).running()`."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bot_core.models.bot import BotRow
from bot_core.models.figures import Figures, OpenPosition
from bot_core.models.halt import Halt, HaltScope
from bot_operator.credentials import explained
from bot_operator.manifests import build_deployment, build_tradingbot
from bot_operator.naming import APPLIED_HASH, MANAGER, REVISION, TEMPLATE_HASH, Workload, bot_labels
from bot_operator.observed import Observed, ObservedDeployment, ObservedPod, ObservedTradingBot
from bot_operator.placement import NO_SHAPE, place
from bot_operator.record import NO_FIGURES, BotRecord, Circumstances
from bot_operator.rollout import tell_update
from bot_operator.settings import OperatorSettings, parse_settings
from bot_operator.standing import UPDATED, stand
from bot_operator.status import build_status_fields, condition
from bot_operator.trouble import Patience, Trouble

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def a_document(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": "Ether, hourly",
        "symbol": "ETHUSDT",
        "broker": {"type": "paper", "trading_mode": "paper", "cash": 10000.0, "commission": 0.001},
        "data": {"data_source": "generated", "interval": "1h"},
        "strategy": {
            "type": "CustomStrategy",
            "parameters": {
                "entry_logic": {"name": "RSIOrBBEntryMixin", "params": {}},
                "exit_logic": {"name": "ATRExitMixin", "params": {}},
            },
        },
    }
    return document | changes


def an_invalid_document() -> dict[str, Any]:
    return a_document(symbol="", strategy={"type": "CustomStrategy", "parameters": {}})


def some_settings(**changes: Any) -> OperatorSettings:
    document: dict[str, Any] = {
        "namespace": "trading",
        "release": "fleet",
        "database": {"secretName": "fleet-database", "secretKey": "url"},
        "bot": {"image": "registry.example.com/bot-runtime:1.2.3", "serviceAccountName": "fleet-bot"},
    }
    return parse_settings(document | changes)


def around(**changes: Any) -> Circumstances:
    return replace(Circumstances(settings=some_settings(), now=NOW), **changes)


@dataclass(frozen=True)
class RowBuilder:
    row: BotRow
    figures: Figures = NO_FIGURES
    halt: Halt | None = None

    def _with(self, **values: Any) -> RowBuilder:
        return replace(self, row=self.row.model_copy(update=values))

    def says(self, status: str, **metadata: Any) -> RowBuilder:
        return self._with(status=status, extra_metadata=self.row.extra_metadata | metadata)

    def disabled(self) -> RowBuilder:
        return self.says("disabled")

    def stopped_on_request(self) -> RowBuilder:
        return self.says("stopped", stopped_by="request")

    def with_config(self, document: Any) -> RowBuilder:
        return self._with(config=document)

    def invalid(self) -> RowBuilder:
        return self.with_config(an_invalid_document())

    def told(self) -> RowBuilder:
        """The row already says what is wrong with its document."""
        return self.says("error", last_error=self.record().config_error)

    def with_figures(self, balance: str, pnl: str, beat: datetime = NOW) -> RowBuilder:
        return self._with(current_balance=Decimal(balance), total_pnl=Decimal(pnl), last_heartbeat=beat)

    def holding(self, quantity: str, price: str) -> RowBuilder:
        position = OpenPosition("ETHUSDT", "long", Decimal(quantity), Decimal(price))
        return replace(self, figures=replace(self.figures, position=position))

    def running_document(self, config_hash: str) -> RowBuilder:
        return replace(self, figures=replace(self.figures, config_hash=config_hash))

    def halted(self, *, flatten: bool = False, reason: str = "") -> RowBuilder:
        halt = Halt(1, HaltScope.USER, flatten, reason, "anna", NOW, target_id=self.row.user_id)
        return replace(self, halt=halt)

    def record(self) -> BotRecord:
        return BotRecord(self.row, self.figures, self.halt)


def a_row(bot_id: int = 7) -> RowBuilder:
    return RowBuilder(BotRow(id=bot_id, user_id=1, status="enabled", config=a_document()))


@dataclass(frozen=True)
class ClusterBuilder:
    """What the cluster holds for a row: first its TradingBot alone."""

    of: RowBuilder
    observed: Observed
    settings: OperatorSettings

    def _with(self, **parts: Any) -> ClusterBuilder:
        return replace(self, observed=replace(self.observed, **parts))

    def with_deployment(self, **changes: Any) -> ClusterBuilder:
        bot_id = self.of.row.id
        owner = changes.get("owner_uid", f"uid-of-bot-{bot_id}")
        shape = place(self.of.record(), None, self.settings).shape or NO_SHAPE
        manifest = build_deployment(Workload.of([bot_id]), self.settings, shape, owner_uid=owner)
        annotations = manifest["metadata"]["annotations"]
        if "template_hash" in changes:  # of what was applied before
            annotations |= {TEMPLATE_HASH: changes["template_hash"], APPLIED_HASH: changes["template_hash"]}
        if "replicas" in changes:
            manifest["spec"]["replicas"] = changes["replicas"]
        deployment = ObservedDeployment(
            uid=f"uid-of-deployment-{bot_id}",
            ours=True,
            template_hash=annotations[TEMPLATE_HASH],
            placement=shape.dump(),
            owner_uid=owner,
            document=applied_by_us(manifest),
            revision=annotations[REVISION],
        )
        return self._with(deployment=replace(deployment, **changes))

    def edited(self, *path: str, to: Any, manager: str = "kubectl-edit") -> ClusterBuilder:
        """Somebody writes one field of the Deployment; a part of the path such as `name=bot` picks an item."""
        deployment = self.observed.deployment
        assert deployment is not None
        return self._with(deployment=replace(deployment, document=edit(deployment.document, path, to, manager)))

    def with_pod(self, **changes: Any) -> ClusterBuilder:
        """A trouble may be given as its text, with `failing` where it won't end without help."""
        failing = changes.pop("failing", False)
        if isinstance(changes.get("trouble"), str):
            reason, _, words = changes["trouble"].partition(": ")
            changes["trouble"] = Trouble(reason, words, Patience.NONE if failing else Patience.SOME)
        name = f"bot-{self.of.row.id}-abc"
        pod = ObservedPod(
            name=name, created="2026-03-01T11:00:00Z", started=True, uid=f"uid-of-{name}", bot_id=self.of.row.id
        )
        return self._with(pods=(*self.observed.pods, replace(pod, **changes)))

    def running(self) -> ClusterBuilder:
        return self.with_deployment().with_pod(ready=True)

    def without_pods(self) -> ClusterBuilder:
        return self._with(pods=())

    def without_deployment(self) -> ClusterBuilder:
        return self._with(deployment=None)

    def saying(self, **status: Any) -> ClusterBuilder:
        bot = self.observed.bot
        assert bot is not None
        return self._with(bot=replace(bot, status={**bot.status, **status}))

    def foreign(self) -> ClusterBuilder:
        bot = self.observed.bot
        assert bot is not None
        return self._with(bot=replace(bot, ours=False, labels={}))

    def up_to_date(self) -> ClusterBuilder:
        """The TradingBot's status is what it should be."""
        bot = self.observed.bot
        assert bot is not None
        record, deployment = self.of.record(), self.observed.deployment
        placement = place(record, deployment.placement if deployment else None, self.settings)
        observed = explained(self.observed, placement)
        standing = stand(record, observed, self.settings, NOW)
        told = (
            None
            if standing is None
            else tell_update(standing, around(settings=self.settings), condition(bot.status, UPDATED))
        )
        status = build_status_fields(record, observed, NOW, placement=placement, told=told)
        return self._with(bot=replace(bot, status=status))

    def seen_by(self, row: RowBuilder) -> ClusterBuilder:
        """Bring the TradingBot's spec up to what another state of the row asks for."""
        bot = self.observed.bot
        assert bot is not None
        manifest = build_tradingbot(row.record(), self.settings)
        changed = replace(bot, spec=manifest["spec"], document=applied_by_us(manifest))
        return replace(self._with(bot=changed), of=row)


def applied_by_us(manifest: dict[str, Any]) -> dict[str, Any]:
    """The object as the API server holds it after our apply, but for what it fills in."""
    entry = {"manager": MANAGER, "operation": "Apply", "apiVersion": manifest["apiVersion"], "fieldsV1": {}}
    return copy.deepcopy(manifest | {"metadata": manifest["metadata"] | {"managedFields": [entry]}})


def edit(document: Mapping[str, Any], path: tuple[str, ...], to: Any, manager: str) -> dict[str, Any]:
    """The object after somebody wrote one field, who from then on owns it."""
    edited = copy.deepcopy(dict(document))
    fields: dict[str, Any] = {}
    place: Any = edited
    owned = fields
    for part in path[:-1]:
        key, is_item, value = part.partition("=")
        if is_item:
            found = [item for item in place if item.get(key) == value]
            if not found:
                place.append({key: value})
            place = (found or place[-1:])[0]
            owned = owned.setdefault(f"k:{json.dumps({key: value})}", {})
        else:
            place = place.setdefault(part, [] if "=" in path[path.index(part) + 1] else {})
            owned = owned.setdefault(f"f:{part}", {})
    place[path[-1]] = to
    owned[f"f:{path[-1]}"] = {}
    entry = {"manager": manager, "operation": "Update", "fieldsV1": fields}
    edited["metadata"]["managedFields"] = [*edited["metadata"].get("managedFields", []), entry]
    return edited


def a_bot(bot_id: int = 7, row: RowBuilder | None = None) -> ClusterBuilder:
    row, settings = row or a_row(bot_id), some_settings()
    bot = ObservedTradingBot(
        uid=f"uid-of-bot-{row.row.id}",
        ours=True,
        generation=1,
        labels=bot_labels(settings.release, row.row.id),
        spec=build_tradingbot(row.record(), settings)["spec"],
        document=applied_by_us(build_tradingbot(row.record(), settings)),
    )
    return ClusterBuilder(row, Observed(bot=bot), settings)
