"""flow-run: run a Worker on the events of its own SOURCE, in one process."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowtools.cli import listener_options, options, pool_options
from flowtools.cli.binding import given_by
from flowtools.cli.command import Command

if TYPE_CHECKING:
    from flowtools.run.profile import Profile


def _show_legacy_path(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from flowtools.compat.oldmodules import LEGACY

        click.echo(LEGACY)
        ctx.exit()


@click.command("flow-run", cls=Command)
@click.argument("target", metavar="MODULE:CLASS|PROFILE", shell_complete=options.targets)
@click.option(
    "-n",
    "--instance-name",
    metavar="NAME",
    help="Name of the application, under which the store keeps its values. Overrides "
    "[Flow] app name.",
)
@click.option(
    "-w", "--workers", type=click.IntRange(min=0), metavar="N", help="The same as --threads."
)
@click.option("--man", is_flag=True, help="Print the documentation of the Worker's class.")
@click.option(
    "--legacy-path",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_legacy_path,
    help="Print the PYTHONPATH for an application that imports the packages flow and vizone.",
)
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
@options.standby
@options.since
@listener_options.everything
@listener_options.existing("existing")
@options.include
@options.exclude
@listener_options.media
@listener_options.status
@listener_options.resolve
@listener_options.metadata
@listener_options.xml
@listener_options.skip_empty
@listener_options.settle(None)
@options.prefetch
@options.count
@listener_options.idle
@listener_options.durable
@listener_options.selector
@options.dead_letter
@options.dead_letter_header
@options.max_deliveries
@options.broker
@options.allow_hosts
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
    """Run a Worker on the events of its own SOURCE: a source and flow-work in one process.

    PROFILE is an INI file of the older Flow. Its section [Source], or --set
    'Source.KEY=...', holds the options of the source. An event is acknowledged to its
    broker once the Worker has processed it.

    \b
    Examples:
      flow-run examples.tag:Tag -j 16
      flow-run examples.import_files:ImportFiles --set Source.location=xmlimport
      flow-run myapp/myapp.ini -g
    """
    from flowtools.process.console import configure
    from flowtools.run import run

    pool_options.check(chosen)
    # Before the profile is found, which changes the current directory.
    _make_absolute(ctx, chosen)
    found = run.find_target(target, chosen["config"], chosen["settings"], instance_name)
    if man:
        click.echo(run.manual(found), nl=False)
        return
    # -v and -q win over the level in the profile; `Command` has set up the messages without it.
    is_said = _is_typed(ctx, "verbose") or _is_typed(ctx, "quiet")
    if debug or (found.profile.verbosity is not None and not is_said):
        wanted = 2 if debug else found.profile.verbosity or 0
        level = ctx.meta["flowtools.worker_log_level"]
        configure("flow-run", wanted, ctx.meta["flowtools.log_format"], level)
    _take_from_profile(ctx, chosen, found.profile, workers)
    command = ctx.command
    assert isinstance(command, Command)
    given = given_by(ctx, chosen)
    run.run(found, given, instance_name=instance_name, on_stuck=command.leave_threads)


def _make_absolute(ctx: click.Context, chosen: dict[str, Any]) -> None:
    """Make paths absolute, because the directory of the profile becomes the current one."""
    for param in ctx.command.params:
        if isinstance(param.type, click.Path) and chosen.get(str(param.name)):
            path = chosen[str(param.name)]
            chosen[str(param.name)] = type(path)(Path(path).absolute())


def _take_from_profile(
    ctx: click.Context, chosen: dict[str, Any], profile: "Profile", workers: int | None
) -> None:
    """Replace options that were not typed by those of the profile, if it has them."""
    if workers or not _is_typed(ctx, "threads"):
        chosen["threads"] = workers or profile.threads or chosen["threads"]
    if not _is_typed(ctx, "timeout") and profile.timeout is not None:
        chosen["timeout"] = profile.timeout
    if not _is_typed(ctx, "url"):
        chosen["url"] = None  # The profile overrides the environment.
    if not _is_typed(ctx, "heart_beat") and profile.heart_beat is not None:
        chosen["heart_beat"] = profile.heart_beat


def _is_typed(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


if __name__ == "__main__":
    main()
