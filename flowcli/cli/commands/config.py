"""``flowcli config``: the shipped configs."""

from __future__ import annotations

import click

from flowcli.cli import options


@click.command(short_help="List the shipped configs, or print one.")
@click.argument("name", required=False, type=options.ConfigName(files=False))
@click.option("--schema", is_flag=True, help="Print the JSON schema of configs, for editors.")
def config(name: str | None, schema: bool) -> None:
    """List the configs that come with flowcli, or print the one called NAME.

    \b
    Examples:
      flowcli config                    the names, each with what it is
      flowcli config nsf > my.yaml      a copy to edit, and then:
      flowcli fit data.csv -c my.yaml
      flowcli config --schema > flowcli.schema.json
    """
    import json

    from flowcli import config as configs  # pydantic loads only for --schema
    from flowcli.errors import UsageError

    if schema and name is not None:
        raise UsageError("--schema is of every config and takes no NAME")
    if schema:
        click.echo(json.dumps(configs.schema_json(), indent=2))
    elif name is not None:
        click.echo(configs.text(name), nl=False)
    else:
        names = configs.names()
        width = max(map(len, names))
        for each in names:
            click.echo(f"{each:<{width}}  {configs.summary(each)}")
