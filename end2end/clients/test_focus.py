"""The file of charges is FOCUS 1.0, says the FinOps Foundation's own validator."""

from __future__ import annotations

import csv
import io
import os
import subprocess
from pathlib import Path

from desk import ask, eventually
from states import MODEL

#: The validator calls four columns by other ids than the specification does, and looks for a fifth under its name of before 1.0, in the
#: rule about SkuPriceId. With these names every rule of its set for 1.0 is run; none is left out.
RENAMED = {"InvoiceIssuerName": "InvoiceIssuer", "ProviderName": "Provider", "PublisherName": "Publisher", "ResourceId": "ResourceID"}
FORMERLY = {"ChargeType": "ChargeCategory"}
VENV = Path(os.environ["KEYDESK_FOCUS"])


def rows_of(desk) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(desk.person.file(f"/{desk.org}/spend-focus.csv"))))


def validated(rows: list[dict[str, str]], folder: Path) -> str:
    """What the validator says. It answers 0 whatever it finds, and looks for its own files in the folder that it is started in."""
    rows = [{**row, **{old: row[new] for old, new in FORMERLY.items()}} for row in rows]
    rows = [{RENAMED.get(name, name): value for name, value in row.items()} for row in rows]
    file = folder / "charges.csv"
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (home,) = VENV.glob("lib/python*/site-packages")
    run = [VENV / "bin" / "focus-validator", "--data-file", file, "--validate-version", "1.0"]
    return subprocess.run(run, cwd=home, capture_output=True, text=True, timeout=120).stdout


def test_the_validator_finds_nothing_wrong_with_a_real_export(desk, tmp_path):
    key = desk.create_key("focus")
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Say it back"}]}
    assert ask(f"{desk.base}/v1/chat/completions", key.secret, body=body).status == 200
    eventually("the charge", 5, lambda: [row for row in rows_of(desk) if row["ResourceId"] == key.id])
    rows = rows_of(desk)
    (charge,) = [row for row in rows if row["ResourceId"] == key.id]
    assert charge["ResourceName"] == key.name
    assert round(float(charge["BilledCost"]) * 1_000_000_000) == desk.spent_nanos(key)
    said = validated(rows, tmp_path)
    assert said.strip().endswith("Validation succeeded."), said

    # It does look.
    broken = [{**row, "SkuPriceId": "", "ServiceCategory": "Magic"} for row in rows]
    said = validated(broken, tmp_path)
    assert "SkuPriceId_Nullable failed" in said and "ServiceCategory_Enum failed" in said, said
