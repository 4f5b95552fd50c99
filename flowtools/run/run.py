"""The run of flow-run: a Worker in a pool, with its own SOURCE in the same process.

The source is made first, since it determines settings of the pool: whether a whole document may
take any time, and whether events that are not done will be delivered again. Then assembly.run runs
the pool as flow-work does. Instead of standard input it opens the pipe of the source's thread
(inprocess.py), after the Worker has been configured and before the first line is read.
"""

import os
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flowtools.core.errors import ConfigurationError
from flowtools.core.log import get_log
from flowtools.core.settings import Given
from flowtools.core.text import counted
from flowtools.core.wait import Stop
from flowtools.pool import assembly
from flowtools.pool.settings import Choice, Settings
from flowtools.pool.work import Input
from flowtools.process.console import say
from flowtools.run.inprocess import acks_between, beside
from flowtools.run.ownsource import Own, Wishes, own_source
from flowtools.run.profile import Profile, read, seconds, truth, understand
from flowtools.source.settings import Standard
from flowtools.stomp.settings import settings_from
from flowtools.worker.config import change
from flowtools.worker.config import load as load_config
from flowtools.worker.contract import Worker, load, make
from flowtools.worker.needs import SECONDS, Equipment, application_of

log = get_log("flowtools.run")


@dataclass(frozen=True)
class Target:
    """A Worker and its settings.

    Attributes:
        worker: The Worker, as MODULE:CLASS.
        profile: The settings of its profile or its --config.
    """

    worker: str
    profile: Profile


def find_target(
    name: str, config: Path | None, settings: tuple[str, ...], instance_name: str | None
) -> Target:
    """Return the Worker that `name` stands for: a MODULE:CLASS or the path of a profile.

    The directory of a profile becomes the current directory, as in the older Flow.

    Raises:
        ConfigurationError: The profile cannot be read, or names no class.
        UsageError: A setting is malformed.
    """
    path = Path(name)
    if ":" in name and not path.is_file():  # A profile's path may have a colon, too.
        plain = load_config(config, settings)
        return Target(name, understand(plain, is_old=False))
    if config is not None:
        raise ConfigurationError(f"'{name}' is a profile: it cannot be combined with --config")
    read_in = read(path, instance_name)
    settled = change(read_in, settings)
    profile = understand(read_in, is_old=True, settled=settled)
    if profile.worker is None:
        raise ConfigurationError(f"'{name}': [Flow] 'class' is missing: it names the Worker")
    os.chdir(path.absolute().parent)
    return Target(profile.worker, profile)


def manual(target: Target) -> str:
    """Return the documentation of the Worker's class, as --man shows it."""
    import pydoc

    return pydoc.plain(pydoc.render_doc(load(target.worker)))


def run(
    target: Target, given: Given, *, instance_name: str | None, on_stuck: Callable[[], None]
) -> None:
    """Run the Worker on the events of its own source.

    Args:
        target: What to run.
        given: The options of flow-run.
        instance_name: Name of the application, which overrides that of the profile.
        on_stuck: As assembly.run.

    Raises:
        FlowError: As assembly.run, or the source failed; a UsageError if an option does not apply
            to the source.
    """
    equipment = _equipment(target, given, instance_name)
    pool = given.make(Settings, command="flow-run")
    choice = given.make(Choice, worker=target.worker, pool=pool)
    inlet, acks = acks_between(passed_on=pool.pass_on or pool.relay)
    wishes = Wishes(given, inlet, lambda: _broker(target, given, equipment))
    config = target.profile.config

    def own() -> Own:
        return own_source(
            load(target.worker), target.worker, target.profile.source, wishes, equipment, config
        )

    if choice.dry_run:
        _say_what_would_run(own(), choice, equipment, config)
        return
    # Made first, because the properties of the source determine the pool's settings.
    made = own()
    drain = patience = pool.drain
    if made.is_whole:
        if not given.is_typed("timeout") and target.profile.timeout is None:
            pool = replace(pool, timeout=0.0)
        if not given.is_typed("drain"):
            drain = getattr(load(target.worker), "DRAIN", drain)  # As a TransferPlugin has it.
    if not made.redelivers:
        pool = replace(pool, drain=0.0)  # `beside` drains before it asks the pool to end.
    choice = replace(choice, pool=pool)

    @contextmanager
    def opener(worker: Worker | None, stop: Stop) -> Iterator[Input]:
        # The source has checked the size of a whole document. In JSON a byte may become six.
        longest = 6 * max(Standard.max_size, choice.max_line) + 4096 if made.is_whole else None
        with beside(made.source, acks, stop, redelivers=made.redelivers, drain=drain) as given:
            yield replace(given, max_line=longest)
        if getattr(made.source, "is_stuck", False):
            on_stuck()  # A thread of the user's Source may never end: the process must not wait.

    opened: Callable[[Worker | None, Stop], AbstractContextManager[Input]] = opener
    try:
        assembly.run(
            choice, on_stuck, config=config, equipment=equipment, opener=opened, drain=patience
        )
    finally:
        equipment.close()


def _say_what_would_run(
    own: Own, choice: Choice, equipment: Equipment, config: ConfigParser
) -> None:
    make(choice.worker, config, equipment)
    say(
        f"would run {choice.worker} on the events of {type(own.source).__name__}"
        f" with {counted(choice.pool.threads, 'thread')}"
    )


def _equipment(target: Target, given: Given, instance_name: str | None) -> Equipment:
    from flowtools.vizone.account import Account

    profile = target.profile
    said = profile.viz_one
    name = instance_name or profile.application
    if name is None and profile.is_old:
        name = "default"
    equipment = Equipment(
        # As in the older Flow, so that values it has stored are found.
        application=f"flow_{name}" if name else application_of(target.worker),
        enabled=truth(said.get("enabled", "yes"), "[Viz One] enabled"),
        seconds=seconds(said["time out"], "[Viz One] time out") if "time out" in said else SECONDS,
        has_options=True,
    )
    login = {name: given[name] for name in ("url", "user", "password_file")}
    trust = {name: given[name] for name in ("ca_file", "insecure")}
    is_asked_for = profile.is_old or any(login.values())
    if not equipment.enabled or not (is_asked_for or said or any(trust.values())):
        return equipment
    environment = dict(os.environ) | _account_of(said, os.environ, is_old=profile.is_old)
    try:
        equipment.account = Account.from_settings(
            **login,
            ca_file=trust["ca_file"] or _pem_file(said),
            insecure=trust["insecure"]
            or not truth(said.get("check certificates", "yes"), "[Viz One] check certificates"),
            environment=environment,
        )
    except ConfigurationError:
        # Made only when needed: a Worker may do without Viz One.
        if is_asked_for:
            raise
    return equipment


def _pem_file(said: dict[str, str]) -> str | None:
    """Return the CA file that a profile names, if its connection has a certificate to check."""
    if not truth(said.get("use https", "yes"), "[Viz One] use https"):
        return None
    return str(Path(said["pem file"]).expanduser()) if said.get("pem file") else None


def _account_of(said: dict[str, str], environment: Any, *, is_old: bool) -> dict[str, str]:
    """Return the values of a profile that stand for VIZONE_URL and the related variables.

    A value that the profile lacks comes from the environment, then from the old defaults.
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


def _broker(target: Target, given: Given, equipment: Equipment) -> Any:
    settings = given.make(settings_from)
    account = equipment.account
    if account is None or not target.profile.is_old or settings.user:
        return settings
    from flowtools.source.vizone.listening import with_login

    # As in the older Flow: one login for Viz One and the broker.
    return with_login(settings, account)
