"""Makes, out of the settings, what the processes other than the gateway work with. Connections open with their first use."""

from __future__ import annotations

from datetime import timedelta

import redis

from firstcome import clients
from firstcome.settings import Settings
from shop.accounts.kit import AccountKit
from shop.accounts.passwords import Hasher
from shop.mail import outbox
from shop.mail.letters import Mailer
from shop.mail.sink import MailSink
from shop.mail.smtp import SmtpMailer
from shop.orders.cancel import CANCEL, cancel_effect
from shop.payments.apply import REFUND
from shop.payments.providers import Provider
from shop.payments.providers.simulator import SimulatorProvider
from shop.payments.refund import refund_effect
from shop.storage.database import ANSWER_TIMEOUT_S, Database
from shop.vault import Lookup, Vault
from workers.provider_health import Counted
from workers.runtime import Runtime

# A worker that was stopped in the middle of a transaction must not sit on its locks: the server ends its connection.
WORKER_WAIT_TIMEOUT_S = 10


def database(
    settings: Settings, *, wait_timeout_s: int | None = None, answer_s: int = ANSWER_TIMEOUT_S
) -> Database:
    """The door to the database, with the settings' number of connections."""
    return Database(
        settings.database_url, pool_size=settings.pool_size, wait_timeout_s=wait_timeout_s, answer_s=answer_s
    )


def vault(settings: Settings) -> Vault:
    """What seals and opens personal fields."""
    keys = settings.keyring.derive("personal")
    return Vault(keys.active, keys.by_id)


def account_kit(settings: Settings) -> AccountKit:
    """What accounts work with."""
    lookup, code = settings.keyring.derive("lookup"), settings.keyring.derive("code")
    hasher = Hasher(
        memory_kib=settings.argon2_memory_kib,
        time_cost=settings.argon2_time_cost,
        parallelism=settings.argon2_parallelism,
    )
    return AccountKit(
        vault=vault(settings),
        lookup=Lookup(lookup.active, lookup.by_id),
        hasher=hasher,
        code_key=code.by_id[code.active],
        refresh_life=timedelta(seconds=settings.refresh_s),
    )


def mailer(settings: Settings) -> Mailer:
    """The mail server, or the folder that stands for one in a demo."""
    if settings.mail_sink_dir is not None:
        return MailSink(settings.mail_sink_dir, settings.mail_from)
    return SmtpMailer(settings.smtp_url, settings.mail_from)


def provider_names(settings: Settings) -> list[str]:
    """The payment providers that are set up."""
    return [SimulatorProvider.name] if settings.simulator_url else []


def providers(settings: Settings, client: redis.Redis) -> dict[str, Provider]:
    """The payment providers that are set up, by name, their calls counted where `client` leads."""
    if not settings.simulator_url:
        return {}
    simulator = SimulatorProvider(
        settings.simulator_url, settings.simulator_api_key, settings.simulator_webhook_secrets
    )
    return {simulator.name: Counted(simulator, client)}


def runtime(settings: Settings) -> Runtime:
    """What a worker or sweeper process works with."""
    db = database(settings, wait_timeout_s=WORKER_WAIT_TIMEOUT_S)
    client = clients.redis_sync(settings.redis_url)
    sealing, paying = vault(settings), providers(settings, client)
    return Runtime(
        db=db,
        redis=client,
        rq_redis=clients.rq_redis(settings.rq_redis_url),
        vault=sealing,
        effects={
            outbox.KIND: outbox.mail_effect(db, sealing, mailer(settings), settings.base_url),
            REFUND: refund_effect(db, sealing, paying),
            CANCEL: cancel_effect(db, sealing, paying),
        },
        providers=paying,
        slice_s=settings.slice_s,
        batch_ms=settings.batch_ms,
        batch_max=settings.batch_max,
        sweep_s=settings.sweep_s,
    )
