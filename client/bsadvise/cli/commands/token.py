"""``bsadvise token``: who may use a shared daemon."""

from __future__ import annotations

import click

from bsadvise.cli.completing import complete_token
from bsadvise.cli.connecting import open_client
from bsadvise.cli.options import address_option, option, output_option
from bsadvise.cli.render.output import print_answer, say, say_aside
from bsadvise.cli.render.views import tokens_view
from bsadvise.model.token import Scope

_DAY_S = 86_400.0


@click.group()
def token() -> None:
    """Make, list and revoke the tokens of a shared daemon; for who runs it."""


@token.command()
@click.argument("principal")
@option(
    "--scope", type=click.Choice([scope.value for scope in Scope]), default="run",
    show_default=True, help="What it is good for.",
)  # fmt: skip
@option("--days", type=click.IntRange(1, 366), default=90, show_default=True, help="How long.")
@address_option
def create(principal: str, scope: str, days: int, address: str | None) -> None:
    """Make a token for PRINCIPAL, and print it: it is shown this once, and kept nowhere."""
    with open_client(address) as client:
        made, text = client.create_token(principal, Scope(scope), life_s=days * _DAY_S)
    say_aside(
        f"token {made.token_id} for {made.principal}, scope {made.scope}, {days} days; "
        "give it to clients as BSADVISE_TOKEN"
    )
    say(text)


@token.command(name="list")
@output_option
@address_option
def list_tokens(output: str, address: str | None) -> None:
    """List tokens, newest first; never their secrets."""
    with open_client(address) as client:
        found = client.list_tokens()
    print_answer({"tokens": [one.to_dict() for one in found]}, tokens_view(found), output)


@token.command()
@click.argument("token_id", metavar="ID", shell_complete=complete_token)
@address_option
def revoke(token_id: str, address: str | None) -> None:
    """Let a token open nothing from now on."""
    with open_client(address) as client:
        revoked = client.revoke_token(token_id)
    say(f"{revoked.token_id} of {revoked.principal} is revoked")
