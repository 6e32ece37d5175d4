"""Invoices as they come from a scanner: one of them says its amount in a way that nobody expected."""

import decimal

import cosmos_xenna.pipelines.v1 as px

_CURRENCIES = ("EUR", "USD", "GBP")


def invoices() -> list[str]:
    """Forty lines `number;customer;amount`; number 1027 is the bad one."""
    lines = [f"{1000 + n};customer {n % 7};{100 + n * 3}.{n % 100:02d} {_CURRENCIES[n % 3]}" for n in range(40)]
    lines[27] = "1027;customer 6;1.181,27 EUR"
    return lines


class Parse(px.Stage):
    """Splits a line into its fields."""

    @property
    def required_resources(self) -> px.Resources:
        return px.Resources(cpus=0.2)

    def process_data(self, in_data: list[str]) -> list[dict]:
        out = []
        for line in in_data:
            number, customer, amount = line.split(";")
            out.append({"number": int(number), "customer": customer, "amount": amount})
        return out


class Normalise(px.Stage):
    """Trims names and separates the currency from the amount."""

    @property
    def required_resources(self) -> px.Resources:
        return px.Resources(cpus=0.2)

    def process_data(self, in_data: list[dict]) -> list[dict]:
        for record in in_data:
            record["customer"] = record["customer"].strip().title()
            record["amount"], record["currency"] = record["amount"].rsplit(" ", 1)
            print(f"invoice {record['number']}: {record['currency']}")
        return in_data


class Total(px.Stage):
    """Adds the tax. Amounts must be written with a decimal point."""

    @property
    def stage_batch_size(self) -> int:
        return 4

    @property
    def required_resources(self) -> px.Resources:
        return px.Resources(cpus=0.2)

    def process_data(self, in_data: list[dict]) -> list[dict]:
        return [self._with_tax(record) for record in in_data]

    def _with_tax(self, record: dict) -> dict:
        try:
            net = decimal.Decimal(record["amount"])
        except decimal.InvalidOperation as error:
            said = f"invoice {record['number']}: amount {record['amount']!r} is not a decimal number; a decimal comma?"
            raise ValueError(said) from error
        return record | {"total": str((net * decimal.Decimal("1.19")).quantize(decimal.Decimal("0.01")))}
