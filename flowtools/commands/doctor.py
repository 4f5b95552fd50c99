"""flow-doctor: check everything that a source needs, and say what to fix."""

import click

from flowtools.cli import options
from flowtools.cli.binding import option
from flowtools.cli.command import Command
from flowtools.doctor.settings import Examining


@click.command("flow-doctor", cls=Command)
@click.argument("stomp_url", metavar="[STOMP-URL]", required=False)
@options.url
@options.user
@options.password_file
@options.ca_file
@options.insecure
@options.client_certificate
@options.client_key
@options.broker
@click.option(
    "--location",
    "locations",
    multiple=True,
    metavar="HANDLE",
    help="Check this import storage of Viz One, too; may be repeated.",
)
@option(
    "--expiry-days",
    of=Examining,
    type=click.IntRange(min=0, max=3650),
    metavar="N",
    help="Warn of a certificate that expires within N days.",
)
@option("--strict", of=Examining, is_flag=True, help="End with status 1 if there is a warning.")
@options.heart_beat_of(Examining)
@options.connect_timeout
@click.option(
    "--schema",
    metavar="TYPE",
    help="Print the JSON Schema of the events of this type, such as flow.asset.created.",
)
def main(
    stomp_url: str | None,
    url: str | None,
    user: str | None,
    password_file: str | None,
    ca_file: str | None,
    insecure: bool,
    client_certificate: str | None,
    client_key: str | None,
    broker: str | None,
    locations: tuple[str, ...],
    expiry_days: int,
    strict: bool,
    heart_beat: tuple[float, float],
    connect_timeout: float,
    schema: str | None,
) -> int:
    """Check a Viz One, or the broker at STOMP-URL, and this machine, step by step.

    Each check prints a line; if it failed, a second line says what to do. The command changes
    nothing and takes no messages.

    \b
    Examples:
      flow-doctor
      flow-doctor --location xmlimport --password-file ~/.vizone-password
      flow-doctor 'stomp+ssl://mq:61614/?destination=/topic/news'
      flow-doctor --schema flow.asset.created
      flow-doctor -q --strict --expiry-days 30 || mail -s 'flow-doctor' ops
    """
    if schema is not None:
        from flowtools.doctor.schema import show

        show(schema)
        return 0
    from flowtools.doctor.visit import visit
    from flowtools.doctor.vizone import Patient
    from flowtools.stomp.settings import settings_from

    settings = settings_from(
        user=user,
        # Without STOMP-URL the login is that of Viz One, and `Patient` reads its password.
        password_file=password_file if stomp_url else None,
        ca_file=ca_file,
        client_certificate=client_certificate,
        client_key=client_key,
        insecure=insecure,
        heart_beat=heart_beat,
        connect_timeout=connect_timeout,
        retry_for=0.0,  # One attempt: a broker that is away is the result, not to be waited for.
    )
    patient = Patient(
        *(url, user, password_file, ca_file, insecure, locations, broker, settings, expiry_days)
    )
    return visit(patient, stomp_url, strict=strict)


if __name__ == "__main__":
    main()
