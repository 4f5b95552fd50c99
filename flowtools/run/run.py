"""flow-run put together: a Worker, its own SOURCE beside it, and a pool between them."""

import os
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flowtools.core.errors import ConfigurationError
from flowtools.core.log import get_log
from flowtools.core.wait import Stop
from flowtools.pool import assembly
from flowtools.pool.assembly import Choice
from flowtools.pool.work import Input
from flowtools.process.console import say
from flowtools.run.inprocess import acks_between, beside
from flowtools.run.ownsource import Own, Wishes, own_source, with_inlet
from flowtools.run.profile import Profile, number, read, truth, understand
from flowtools.source.local import MAX_DOCUMENT
from flowtools.stomp.settings import parse_headers, settings_from
from flowtools.worker.config import change
from flowtools.worker.config import load as load_config
from flowtools.worker.contract import Worker, load, make
from flowtools.worker.needs import SECONDS, Equipment, application_of

log = get_log("flowtools.run")


@dataclass(frozen=True)
class Target:
    """What is to be run.

    Attributes:
        worker: The Worker, as MODULE:CLASS.
        profile: What its profile, or its configuration, says.
    """

    worker: str
    profile: Profile


@dataclass(frozen=True)
class Login:
    """What was typed of Viz One and the broker; None: not said.

    Attributes:
        url, user, password_file, ca_file, insecure: Of Viz One.
        client_certificate, client_key: Of the broker, which takes the rest from above.
        connect_timeout, retry_for: Seconds.
        heart_beat: OUT,IN.
        headers: More headers of the subscription.
    """

    url: str | None
    user: str | None
    password_file: str | None
    ca_file: str | None
    insecure: bool
    client_certificate: str | None
    client_key: str | None
    heart_beat: str
    connect_timeout: float
    retry_for: float | None
    headers: tuple[str, ...]


def find_target(
    name: str, config: Path | None, settings: tuple[str, ...], instance_name: str | None
) -> Target:
    """Return what `name`, a MODULE:CLASS or the path of a profile, stands for.

    With a profile, its directory becomes the current one, as it always was.

    Raises:
        ConfigurationError: The profile cannot be read, or names no class.
        UsageError: A setting has another form.
    """
    path = Path(name)
    if ":" in name and not path.is_file():
        plain = load_config(config, settings)
        return Target(name, understand(plain, is_old=False))
    if config is not None:
        raise ConfigurationError(f"'{name}' is a profile: there is no --config beside it")
    read_in = read(path, instance_name)
    settled = change(read_in, settings)
    profile = understand(read_in, is_old=True, settled=settled)
    if profile.worker is None:
        raise ConfigurationError(f"'{name}': [Flow] 'class' is missing: it names the Worker")
    os.chdir(path.absolute().parent)
    return Target(profile.worker, profile)


def manual(target: Target) -> str:
    """Return what the documentation of the Worker's class says, as --man shows it."""
    import pydoc

    return pydoc.plain(pydoc.render_doc(load(target.worker)))


def run(
    target: Target,
    choice: Choice,
    login: Login,
    listening: Callable[[], Any],
    wishes: dict[str, Any],
    *,
    instance_name: str | None,
    is_drain_typed: bool,
    on_stuck: Callable[[], None],
) -> None:
    """Run the Worker on the events of its own source.

    Args:
        target: What to run.
        choice: The pool's options; a time-out of None is the default.
        login: See there.
        listening: Makes how a source of Viz One listens.
        wishes: The fields of Wishes that need no thought.
        instance_name: The name of the application, before what the profile says.
        is_drain_typed: The seconds for the end are no default: they count for every Worker.
        on_stuck: As assembly.run.

    Raises:
        FlowError: As assembly.run, and what the source ended by; UsageError where an option
            means nothing to it.
    """
    equipment = _equipment(target, login, instance_name)
    inlet, acks = acks_between(passed_on=choice.pass_on)
    complete = Wishes(
        listening=lambda: with_inlet(listening(), inlet),
        broker=lambda: _broker(target, login, equipment),
        headers=parse_headers(login.headers),
        inlet=inlet,
        max_line=choice.max_line,
        **wishes,
    )
    config = target.profile.config

    def own() -> Own:
        return own_source(
            load(target.worker), target.worker, target.profile.source, complete, equipment, config
        )

    if choice.dry_run:
        _say_what_would_run(own(), choice, equipment, config)
        return
    # What it is like decides how the pool is to be, so it is made first of all.
    made = own()
    if choice.timeout is None:
        choice = replace(choice, timeout=0.0 if made.is_whole else 60.0)
    if made.is_whole:
        # The source has measured it. In JSON a byte may become six; the rest is short.
        choice = replace(choice, max_line=6 * max(MAX_DOCUMENT, choice.max_line) + 4096)
    drain = choice.drain
    if made.is_whole and not is_drain_typed:
        drain = getattr(load(target.worker), "DRAIN", drain)  # As a TransferPlugin has it.
    if not made.redelivers:
        choice = replace(choice, drain=0.0)  # Its time is over once the pool is asked to end.

    @contextmanager
    def opener(worker: Worker | None, stop: Stop) -> Iterator[Input]:
        with beside(made.source, acks, stop, redelivers=made.redelivers, drain=drain) as given:
            yield given
        if getattr(made.source, "is_stuck", False):
            on_stuck()

    opened: Callable[[Worker | None, Stop], AbstractContextManager[Input]] = opener
    try:
        assembly.run(choice, on_stuck, config=config, equipment=equipment, opener=opened)
    finally:
        equipment.close()


def _say_what_would_run(
    own: Own, choice: Choice, equipment: Equipment, config: ConfigParser
) -> None:
    make(choice.worker, config, equipment)
    say(
        f"would run {choice.worker} on the events of {type(own.source).__name__}"
        f" with {choice.threads} threads"
    )


def _equipment(target: Target, login: Login, instance_name: str | None) -> Equipment:
    from flowtools.vizone.account import Account

    profile = target.profile
    said = profile.viz_one
    name = instance_name or profile.application
    if name is None and profile.is_old:
        name = "default"
    equipment = Equipment(
        # As the old framework did, so that what it has stored is found.
        application=f"flow_{name}" if name else application_of(target.worker),
        enabled=truth(said.get("enabled", "yes"), "[Viz One] enabled"),
        seconds=number(said["time out"], "[Viz One] time out") if "time out" in said else SECONDS,
        has_options=True,
    )
    given: dict[str, Any] = {
        "url": login.url,
        "user": login.user,
        "password_file": login.password_file,
    }
    if not equipment.enabled or not (profile.is_old or said or any(given.values())):
        return equipment
    environment = dict(os.environ) | _account_of(said, os.environ, is_old=profile.is_old)
    try:
        equipment.account = Account.from_settings(
            **given,
            ca_file=login.ca_file or said.get("pem file") or None,
            insecure=login.insecure
            or not truth(said.get("check certificates", "yes"), "[Viz One] check certificates"),
            environment=environment,
        )
    except ConfigurationError:
        # Not before somebody needs it: a Worker may do without Viz One.
        if profile.is_old or any(given.values()):
            raise
    return equipment


def _account_of(said: dict[str, str], environment: Any, *, is_old: bool) -> dict[str, str]:
    """Return VIZONE_URL and its like as a profile has them.

    What it does not say, the environment does; then the old defaults hold.
    """
    found: dict[str, str] = {}
    scheme = "https" if truth(said.get("use https", "yes"), "[Viz One] use https") else "http"
    if said.get("hostname"):
        found["VIZONE_URL"] = f"{scheme}://{said['hostname']}"
    elif is_old and not environment.get("VIZONE_URL"):
        found["VIZONE_URL"] = f"{scheme}://localhost"
    for name, key in (("VIZONE_USER", "username"), ("VIZONE_PASSWORD", "password")):
        if said.get(key):
            found[name] = said[key]
        elif is_old and not environment.get(name):
            found[name] = "user"
    return found


def _broker(target: Target, login: Login, equipment: Equipment) -> Any:
    settings = settings_from(
        user=login.user,
        password_file=login.password_file,
        ca_file=login.ca_file,
        client_certificate=login.client_certificate,
        client_key=login.client_key,
        insecure=login.insecure,
        heart_beat=login.heart_beat,
        connect_timeout=login.connect_timeout,
        retry_for=login.retry_for,
    )
    account = equipment.account
    if account is None or not target.profile.is_old or settings.user or login.user:
        return settings
    from flowtools.source.vizone.listening import with_login

    # As in the old framework: one login for Viz One and the broker.
    return with_login(settings, account)
