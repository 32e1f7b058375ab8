"""``bsadvise devices``: what the daemon can measure on."""

from __future__ import annotations

import click

from bsadvise.cli.connecting import open_client
from bsadvise.cli.options import address_option, output_option
from bsadvise.cli.render.output import print_answer
from bsadvise.cli.render.views import devices_view


@click.command()
@output_option
@address_option
def devices(output: str, address: str | None) -> None:
    """List the devices of the daemon's machine, as they are now."""
    with open_client(address) as client:
        found = client.devices()
    print_answer({"devices": [one.to_dict() for one in found]}, devices_view(found), output)
