"""flow-run: run a Worker on the events of its own SOURCE, in one process."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowtools.cli import options, pool_options
from flowtools.cli.command import Command

if TYPE_CHECKING:
    from flowtools.run.profile import Profile

_LOGIN = (
    "url",
    "user",
    "password_file",
    "ca_file",
    "insecure",
    "client_certificate",
    "client_key",
    "heart_beat",
    "connect_timeout",
    "retry_for",
    "headers",
)
_NOT_FOR_ALL = ("state", "since", "include", "exclude", "broker", "prefetch", "dead_letter")
_LISTENING = (*_NOT_FOR_ALL, "count")
_SHARED = ("heart_beat", "connect_timeout", "retry_for", "drain")
_ENDING = ("drain", "grace")
_FILES = (
    "joblog",
    "failed",
    "config",
    "state",
    "password_file",
    "ca_file",
    "client_certificate",
    "client_key",
)


@click.command("flow-run", cls=Command)
@click.argument("target", metavar="MODULE:CLASS|PROFILE", shell_complete=options.targets)
@click.option(
    "-n",
    "--instance-name",
    metavar="NAME",
    help="Name of the application, before [Flow] app name: whose values the store keeps.",
)
@click.option(
    "-w", "--workers", type=click.IntRange(min=0), metavar="N", help="The same as --threads."
)
@click.option("--man", is_flag=True, help="Show the documentation of the Worker's class.")
@click.option("-g", "--debug", is_flag=True, help="The same as -vv.")
@pool_options.pool
@options.url
@options.user
@options.password_file
@options.ca_file
@options.insecure
@options.client_certificate
@options.client_key
@options.state
@options.since
@options.include
@options.exclude
@options.prefetch
@options.count
@options.dead_letter
@options.broker
@options.header
@options.heart_beat
@options.connect_timeout
@options.retry_for
@click.pass_context
def main(
    ctx: click.Context,
    /,
    target: str,
    instance_name: str | None,
    workers: int | None,
    man: bool,
    debug: bool,
    **chosen: Any,
) -> None:
    """Run a Worker on the events that its own SOURCE gives: a source and flow-work in one.

    PROFILE is an INI file as the older Flow has them; [Source], or --set 'Source.KEY=...',
    holds the options of the source. An event is acknowledged to its broker once the
    Worker has done it.

    \b
    Examples:
      flow-run examples.tag:Tag -j 16
      flow-run examples.import_files:ImportFiles --set Source.location=xmlimport
      flow-run myapp/myapp.ini -g
    """
    from flowtools.pool.assembly import Choice
    from flowtools.process.console import configure
    from flowtools.run import run
    from flowtools.source.vizone.listening import listening_from

    pool_options.check(chosen)
    _make_absolute(chosen)
    found = run.find_target(target, chosen["config"], chosen["settings"], instance_name)
    if man:
        click.echo(run.manual(found), nl=False)
        return
    is_said = _is_typed(ctx, "verbose") or _is_typed(ctx, "quiet")
    if debug or (found.profile.debug and not is_said):
        configure("flow-run", 2, ctx.meta["flowtools.log_format"])
    _take_from_profile(ctx, chosen, found.profile, workers)
    listening = {name: chosen[name] for name in (*_LISTENING, *_SHARED)}
    login = {name: chosen.pop(name) for name in _LOGIN}
    wishes = {name: chosen[name] for name in ("count", "prefetch", "dead_letter", *_ENDING)}
    wishes["typed"] = [name for name in (*_NOT_FOR_ALL, "headers") if _is_typed(ctx, name)]
    for name in _LISTENING:
        del chosen[name]
    command = ctx.command
    assert isinstance(command, Command)
    run.run(
        found,
        Choice(worker=found.worker, command="flow-run", **chosen),
        run.Login(**login),
        lambda: listening_from(ack="worker", **listening),
        wishes,
        instance_name=instance_name,
        is_drain_typed=_is_typed(ctx, "drain"),
        on_stuck=command.leave_threads,
    )


def _make_absolute(chosen: dict[str, Any]) -> None:
    """Make paths independent of the current directory, which becomes that of the profile."""
    for name in _FILES:
        if chosen[name]:
            absolute = Path(chosen[name]).absolute()
            chosen[name] = absolute if isinstance(chosen[name], Path) else str(absolute)


def _take_from_profile(
    ctx: click.Context, chosen: dict[str, Any], profile: "Profile", workers: int | None
) -> None:
    """Take what was not typed from the profile, where that says it."""
    if workers or not _is_typed(ctx, "threads"):
        chosen["threads"] = workers or profile.threads or chosen["threads"]
    if not _is_typed(ctx, "timeout"):
        chosen["timeout"] = profile.timeout
    if not _is_typed(ctx, "url"):
        chosen["url"] = None  # The environment's counts after the profile's.
    if not _is_typed(ctx, "heart_beat") and profile.heart_beat is not None:
        chosen["heart_beat"] = ",".join(map(str, profile.heart_beat))


def _is_typed(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


if __name__ == "__main__":
    main()
