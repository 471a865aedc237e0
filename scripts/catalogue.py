#!/usr/bin/env python3
"""Makes the catalogue of models that comes with the program, core/models.json, and docs/catalogue.md beside it.

The prices are those of the PyPI package genai-prices. What it lacks (service tiers, long cache writes, searches, output
limits) is taken from LiteLLM's map, and what neither has from the tables here. Both packages are pinned by version and
hash: to update, change the pins and the day, run the script, and read what changed in docs/catalogue.md.

    python3 scripts/catalogue.py            writes both files
    python3 scripts/catalogue.py --check    says whether they are what the script makes

Needs Python 3.11 and a package index; everything it downloads is in target/catalogue.
"""

import datetime
import hashlib
import json
import subprocess
import sys
import zipfile
from decimal import Decimal
from pathlib import Path

# The day whose prices are taken.
DAY = datetime.date(2026, 11, 27)
GENAI_LICENCE = "MIT, Copyright (c) Pydantic Services Inc. 2025 to present"
LITELLM_LICENCE = "MIT, Copyright (c) 2023 Berri AI"
GENAI = ("genai-prices", "0.2.3", "56976ce2b04ec206117f7d0e53f4849211a6724ab3a12119afec304eba63ee25")
LITELLM = ("litellm", "1.110.2", "9d94d1c7d524b6fd10c14f9c8c6c4f0ac31705f9964ac59dcfd8337c046d8917")
LITELLM_MAP = "litellm/model_prices_and_context_window_backup.json"

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "catalogue"
JSON_FILE = ROOT / "core" / "models.json"
DOC_FILE = ROOT / "docs" / "catalogue.md"

OPENAI = "https://developers.openai.com/api/docs/pricing"
CLAUDE = "https://platform.claude.com/docs/en/about-claude/pricing"
GEMINI = "https://ai.google.dev/gemini-api/docs/pricing"
XAI = "https://docs.x.ai/developers/pricing"

# The models: vendor as shown, the vendor in genai-prices, LiteLLM's prefix, the price page, and the names that clients send.
# A name after "=" is what genai-prices calls the model; an empty one says that its price there is not this model's, so that
# LiteLLM's map is taken.
VENDORS = [
    ("OpenAI", "openai", "", OPENAI, """
        gpt-6.1-sol gpt-6.1-terra gpt-6-astra gpt-6-sol gpt-6-luna gpt-5.6-sol gpt-5.6-terra gpt-5.6-luna gpt-5.5 gpt-5.5-pro
        gpt-5.4 gpt-5.4-mini gpt-5.4-nano gpt-5.4-pro gpt-5.3-codex gpt-5.2 gpt-5.2-pro gpt-5.1 gpt-5 gpt-5-mini gpt-5-nano
        gpt-5-pro chat-latest=gpt-chat-latest gpt-4.1 gpt-4.1-mini gpt-4.1-nano gpt-4o gpt-4o-mini o3 o3-pro o4-mini
        gpt-audio-1.5=gpt-audio gpt-audio gpt-audio-mini text-embedding-3-large text-embedding-3-small text-embedding-ada-002"""),
    ("Anthropic", "anthropic", "", CLAUDE, """
        claude-fable-5-2 claude-fable-5-1 claude-fable-5 claude-opus-5-5 claude-opus-5 claude-opus-4-8 claude-opus-4-7
        claude-opus-4-6 claude-opus-4-5 claude-opus-4-5-20251101=claude-opus-4-5 claude-sonnet-5-5 claude-sonnet-5
        claude-sonnet-4-6 claude-sonnet-4-5 claude-sonnet-4-5-20250929=claude-sonnet-4-5 claude-haiku-5-5 claude-haiku-4-5
        claude-haiku-4-5-20251001=claude-haiku-4-5"""),
    ("Google", "google", "gemini/", GEMINI, """
        gemini-4-argon gemini-3.8-flash gemini-3.7-flash gemini-3.6-flash gemini-3.5-flash gemini-3.5-flash-lite
        gemini-3.1-pro-preview gemini-3.1-pro=gemini-3.1-pro-preview gemini-3.1-flash-lite gemini-3-flash-preview
        gemini-3-pro-image=gemini-3-pro-image-preview gemini-3.1-flash-image=gemini-3.1-flash-image-preview
        gemini-3.1-flash-lite-image gemini-nano-banana-2.1 gemini-2.5-pro gemini-2.5-flash gemini-2.5-flash-lite
        gemini-2.5-flash-image gemini-embedding-001 gemini-pro-latest=gemini-3.1-pro-preview
        gemini-flash-latest=gemini-3.8-flash gemini-flash-lite-latest=gemini-3.5-flash-lite"""),
    ("DeepSeek", "deepseek", "deepseek/", "https://api-docs.deepseek.com/quick_start/pricing", """
        deepseek-chat= deepseek-reasoner= deepseek-flash deepseek-v4-flash deepseek-v4-pro"""),
    ("Moonshot AI", "moonshotai", "moonshot/", "https://platform.kimi.ai/docs/pricing/chat.md", """
        kimi-k3.1-pro kimi-k3.1-pro-highspeed kimi-k3 kimi-k2.7-code kimi-k2.6"""),
    ("Mistral", "mistral", "mistral/", "https://mistral.ai/pricing/api", """
        mistral-large-4 mistral-large-2512 mistral-large-latest= mistral-medium-3-5 mistral-medium-latest mistral-small-2603
        mistral-small-latest codestral-2508 codestral-latest=codestral-2508 ministral-14b-2512 ministral-8b-2512
        ministral-3b-2512 mistral-embed"""),
    ("xAI", "x-ai", "xai/", XAI, """
        grok-4.7 grok-4.6 grok-4.5 grok-4.3 grok-4.20 grok-build-0.1"""),
    ("Groq", "groq", "groq/", "https://console.groq.com/docs/models", """
        openai/gpt-oss-120b openai/gpt-oss-20b openai/gpt-oss-safeguard-20b qwen/qwen3.8-27b"""),
    ("Meta", "meta", "meta/", "https://dev.meta.ai/docs/pricing-rate-limits", """
        muse-wonder-1.0 muse-spark-1.3 muse-spark-1.2 muse-spark-1.1"""),
    ("Z.ai", "zai", "zai/", "https://docs.z.ai/guides/overview/pricing", """
        glm-5.3=GLM-5.3 glm-5.3-flash=GLM-5.3-Flash glm-5.2=GLM-5.2 glm-4.7=GLM-4.7"""),
    ("MiniMax", "minimax", "minimax/", "https://platform.minimax.io/docs/pricing/overview", """
        MiniMax-M3=minimax-m3"""),
    ("Cerebras", "cerebras", "cerebras/", "https://www.cerebras.ai/pricing", """
        gpt-oss-120b qwen-3.8-27b"""),
]

# What the packages lack or have wrong, with where it stands. A path is a meter, "above/TOKENS" for a line that is taken
# away, or "DIMENSION/WORD" for a factor.
BY_HAND = [
    (["gemini-3.1-pro"], {}, "by hand: neither package has this name; priced as gemini-3.1-pro-preview"),
    (["claude-sonnet-4-5", "claude-sonnet-4-5-20250929"], {"above/200000": None},
     "by hand: above 200,000 tokens nothing is offered any more, so that there is no line"),
    (["claude-fable-5-2"], {"region/us": "1.1", "max_output_tokens": 128_000},
     "by hand: the region's factor, and the maximum of the output"),
]

# By vendor: what every model of it can report and one of its pages prices, where neither package has it for a model.
# Dollars for a thousand.
TOOLS = {
    # $10 for a thousand searches of the web, $2.50 for a thousand searches of files.
    "OpenAI": {"searches": "10", "tool_uses": "2.5"},
    # A fetched page costs its tokens alone.
    "Anthropic": {"searches": "10", "tool_uses": "0"},
}

# Where Google's page has one price for text, images, audio and video, audio costs what other input does.
AUDIO_AS_TEXT = {"Google"}

METERS = [
    "input", "cached_input", "cache_write_short", "cache_write_long", "audio_input", "cached_audio", "image_input", "output",
    "reasoning", "audio_output", "image_output", "searches", "tool_uses", "requests",
]

GENAI_METERS = {
    "input_mtok": "input", "cache_read_mtok": "cached_input", "cache_write_mtok": "cache_write_short",
    "cache_write_1h_mtok": "cache_write_long", "input_audio_mtok": "audio_input", "cache_audio_read_mtok": "cached_audio",
    "input_image_mtok": "image_input", "output_mtok": "output", "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "audio_output", "output_image_mtok": "image_output", "web_searches_kcount": "searches",
    "storage_searches_kcount": "tool_uses",
}

LITELLM_METERS = {
    "input_cost_per_token": "input", "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write_short",
    "cache_creation_input_token_cost_above_1hr": "cache_write_long",
    "cache_creation_input_token_cost_above_12hr": "cache_write_long",
    "input_cost_per_audio_token": "audio_input", "cache_read_input_audio_token_cost": "cached_audio",
    "input_cost_per_image_token": "image_input", "output_cost_per_token": "output",
    "output_cost_per_reasoning_token": "reasoning", "output_cost_per_audio_token": "audio_output",
    "output_cost_per_image_token": "image_output",
}

TIERS = ["flex", "priority", "fast"]


class Prices:
    """Prices of each meter, and those above a number of input tokens: {"": {meter: price}, 272000: {…}}."""

    def __init__(self):
        self.at = {"": {}}

    def put(self, above, meter, price):
        self.at.setdefault(above, {})[meter] = price

    def get(self, above, meter):
        return self.at.get(above, {}).get(meter)

    def cells(self):
        return [(above, meter, price) for above, rates in self.at.items() for meter, price in rates.items()]


class Listing:
    """What one package says about a model."""

    def __init__(self):
        self.list = Prices()
        self.tiers = {}
        self.factors = {}
        self.context = self.output = None
        self.is_googles = False
        self.left_out = []
        self.later = []


def fetch():
    """Both packages, unpacked, after their hashes are compared."""
    WORK.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, version, sha in (GENAI, LITELLM):
        found = list(WORK.glob(f"{name.replace('-', '_')}-{version}-*.whl"))
        if not found:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(WORK), f"{name}=={version}"]
            subprocess.run(command, check=True)
            found = list(WORK.glob(f"{name.replace('-', '_')}-{version}-*.whl"))
        if hashlib.sha256(found[0].read_bytes()).hexdigest() != sha:
            sys.exit(f"{found[0]} is not the file whose hash stands in this script.")
        paths.append(found[0])
    packages = WORK / f"{GENAI[0]}-{GENAI[1]}"
    if not packages.exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(packages), str(paths[0])]
        subprocess.run(command, check=True)
    sys.path.insert(0, str(packages))
    from genai_prices.data import providers

    with zipfile.ZipFile(paths[1]) as wheel:
        rates = json.loads(wheel.read(LITELLM_MAP), parse_float=Decimal)
    return {provider.id: provider for provider in providers}, rates


def in_force(prices):
    """The prices of the day, and those announced for later. Where they depend on the hour, the dearest."""
    if not isinstance(prices, list):
        return prices, []
    dated = [price for price in prices if not hasattr(price.constraint, "start_time")]
    peak = [price for price in prices if hasattr(price.constraint, "start_time")]
    past = [price for price in dated if price.constraint is None or price.constraint.start_date <= DAY]
    later = [(price.constraint.start_date, price.prices) for price in dated if price not in past]
    return (peak or past)[-1].prices, later


def put_genai(into, prices, left_out):
    for key, price in vars(prices).items():
        if price is None or key.startswith("_"):
            continue
        meter = GENAI_METERS.get(key)
        if meter is None:
            left_out.append(key)
        elif hasattr(price, "tiers"):
            into.put("", meter, price.base)
            for tier in price.tiers:
                into.put(tier.start, meter, tier.price)
        else:
            into.put("", meter, price)


def from_genai(model):
    listing = Listing()
    prices, later = in_force(model.prices)
    put_genai(listing.list, prices, listing.left_out)
    for day, prices in later:
        listing.later.append((day, Prices()))
        put_genai(listing.later[-1][1], prices, [])
    for variant in model.price_variants or []:
        if variant.constraint and variant.constraint.start_date > DAY:
            continue
        ways = [(dimension, variant.when[key]) for key, dimension in (("service_tier", "tier"), ("speed", "speed")) if key in variant.when]
        for way in ways:
            if way != ("tier", "default") and way not in listing.tiers:
                put_genai(listing.tiers.setdefault(way, Prices()), variant.prices, [])
    listing.context = model.context_window
    return listing


def split_key(key):
    """A key of LiteLLM's map as meter, line and tier."""
    tier = next((tier for tier in ("flex", "priority", "batches", "ultrafast", "balanced", "decisions") if key.endswith("_" + tier)), "")
    key = key.removesuffix("_" + tier) if tier else key
    above = ""
    if key.endswith("k_tokens") and "_above_" in key:
        key, _, line = key.rpartition("_above_")
        above = int(line.removesuffix("k_tokens")) * 1_000
    return LITELLM_METERS.get(key), above, tier


def from_litellm(entry):
    listing = Listing()
    million = Decimal(1_000_000)
    for key, value in entry.items():
        if key == "search_context_cost_per_query":
            listing.list.put("", "searches", max(map(Decimal, value.values())) * 1_000)
        elif key == "provider_specific_entry":
            for word, factor in value.items():
                listing.factors[("speed" if word == "fast" else "region", word)] = Decimal(factor)
        elif "cost" in key and not isinstance(value, (dict, list)):
            meter, above, tier = split_key(key)
            if meter is None:
                listing.left_out.append(key)
            elif tier in ("", "flex", "priority") and not (meter.startswith("cache_write") and value == 0):
                prices = listing.tiers.setdefault(("tier", tier), Prices()) if tier else listing.list
                prices.put(above, meter, Decimal(value) * million)
    if listing.list.get("", "reasoning") == listing.list.get("", "output"):
        listing.list.at[""].pop("reasoning", None)
    listing.is_googles = entry["litellm_provider"] == "gemini"
    listing.context = entry.get("max_input_tokens")
    listing.output = entry.get("max_output_tokens")
    return listing


def exact(number):
    """A price or a factor as text, never in scientific notation."""
    text = format(Decimal(number), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def as_rates(prices):
    """Prices in the form of the catalogue."""
    rates = {meter: exact(prices.at[""][meter]) for meter in METERS if meter in prices.at[""]}
    lines = [
        {"above": above, **{meter: exact(rates_above[meter]) for meter in METERS if meter in rates_above}}
        for above, rates_above in sorted((item for item in prices.at.items() if item[0] != ""), key=lambda item: item[0])
        if rates_above
    ]
    return {**rates, **({"lines": lines} if lines else {})}


def factor_of(listed, served):
    """What multiplies the list prices of the tokens, to six decimals and rounded up, and the prices that it does not give."""
    pairs = [(above, meter, price, listed.get(above, meter)) for above, meter, price in served.cells()]
    pairs = [pair for pair in pairs if pair[3]]
    base = next(price / list_price for above, meter, price, list_price in pairs if (above, meter) == ("", "input"))
    factor = base.quantize(Decimal("0.000001"), rounding="ROUND_CEILING")
    own = {meter for _, meter, price, list_price in pairs if list_price * factor != price}
    exceptions = Prices()
    for above, meter, price, _ in pairs:
        if meter in own:
            exceptions.put(above, meter, price)
    return factor, exceptions


def tariff_of(listing):
    """The tariff in the form of the catalogue."""
    tariff, factors = as_rates(listing.list), dict(listing.factors)
    exceptions = {}
    for (dimension, word), served in listing.tiers.items():
        factors[(dimension, word)], own = factor_of(listing.list, served)
        if own.cells():
            exceptions.setdefault(dimension, {})[word] = as_rates(own)
    for (dimension, word), factor in sorted(factors.items()):
        tariff.setdefault("factors", {}).setdefault(dimension, {})[word] = exact(factor)
    if exceptions:
        tariff["exceptions"] = exceptions
    return tariff


def complete(vendor, listing, is_embedding):
    """Meters that are charged like another one when no page has a price for them, in every tier alike. A tier without a
    price of its own for a meter that is listed costs its factor."""
    prices = listing.list
    base = prices.at[""]
    if is_embedding:
        base.pop("output", None)
    for above in prices.at:
        if prices.get(above, "image_input") == prices.get(above, "input"):
            prices.at[above].pop("image_input", None)
    pairs = [("cached_input", "input")]
    if vendor in AUDIO_AS_TEXT and not is_embedding:
        pairs += [("audio_input", "input"), ("cached_audio", "audio_input" if "cached_input" not in base else "cached_input")]
    if base.get("audio_input"):
        pairs.append(("cached_audio", "audio_input"))
    if "cache_write_short" in base:
        pairs.append(("cache_write_long", "cache_write_short"))
    for meter, like in pairs:
        if meter not in base:
            for table in [prices, *listing.tiers.values()]:
                for above in table.at:
                    if (price := table.get(above, like)) is not None:
                        table.put(above, meter, price)


class Notes:
    """What docs/catalogue.md tells."""

    def __init__(self):
        self.differences, self.later, self.left_out = [], [], []


def build():
    genai, litellm = fetch()
    models, notes = [], Notes()
    for vendor, genai_id, prefix, page, names in VENDORS:
        known = {model.id: model for model in genai[genai_id].models}
        for name in names.split():
            name, has_alias, alias = name.partition("=")
            model = known.get(alias if has_alias else name)
            entry = litellm.get(prefix + name) or litellm.get(prefix + alias)
            if not model and not entry:
                sys.exit(f"{name} is in neither package.")
            models.append(build_model(vendor, name, page, model, entry, notes))
    models.sort(key=lambda model: (model["provider"], model["id"]))
    return models, notes


def build_model(vendor, name, page, model, entry, notes):
    is_embedding = bool(entry) and entry.get("mode") == "embedding"
    own = from_genai(model) if model else from_litellm(entry)
    if model and entry:
        complete_from(own, from_litellm(entry), name, notes)
    if not is_embedding:
        for meter, price in TOOLS.get(vendor, {}).items():
            own.list.at[""].setdefault(meter, Decimal(price))
    by_hand = [(changes, source) for names, changes, source in BY_HAND if name in names]
    for changes, _ in by_hand:
        change(own, changes)
    complete(vendor, own, is_embedding)
    if vendor == "OpenAI" and ("tier", "priority") in own.tiers:
        # The provider renamed the tier; answers have either word.
        own.tiers[("tier", "fast")] = own.tiers[("tier", "priority")]
    notes.later += [(name, day, as_rates(prices)) for day, prices in own.later]
    notes.left_out += [(name, key) for key in own.left_out]
    package = GENAI if model else LITELLM
    built = {
        "id": name,
        "provider": vendor,
        "price": tariff_of(own),
        "source": "; ".join([f"{page} ({package[0]} {package[1]})", *(source for _, source in by_hand)]),
    }
    if own.context:
        built["context_tokens"] = int(own.context)
    if own.output and not is_embedding:
        built["max_output_tokens"] = int(own.output)
    return built


def complete_from(own, other, name, notes):
    """Takes over what the first package does not say, and notes where both differ."""
    # Of a line at "200,000 and more" one package has the number before.
    for above in [line for line in other.list.at if line and line - 1 in own.list.at]:
        other.list.at[above - 1] = other.list.at.pop(above)
    tables = [("", own.list, other.list)]
    for way, served in other.tiers.items():
        tables.append((f" {way[1]}", own.tiers.setdefault(way, Prices()), served))
    for way, here, there in tables:
        for above, meter, price in there.cells():
            listed = here.get(above, meter)
            if listed is None and above in own.list.at:
                here.put(above, meter, price)
            elif listed != price:
                line = f" above {above:,}" if above else ""
                notes.differences.append((name, f"{meter}{line}{way}", exact(listed) if listed else "none", exact(price)))
    own.factors = {way: factor for way, factor in other.factors.items() if way not in own.tiers} | own.factors
    own.left_out += [key for key in other.left_out if "_batches" not in key]
    # The context of one package is rounded. Google's has the number that Google's own list has.
    known = [length for length in (own.context, other.context) if length]
    own.context = other.context if other.is_googles and other.context else max(known, default=None)
    own.output = other.output


def change(own, changes):
    for path, value in changes.items():
        kind, _, word = path.partition("/")
        if kind == "above":
            own.list.at.pop(int(word), None)
        elif kind in ("tier", "region", "speed"):
            own.factors[(kind, word)] = Decimal(value)
        elif kind == "max_output_tokens":
            own.output = value
        else:
            own.list.put("", path, Decimal(value))


def json_text(models):
    """The catalogue: one line a model. The head has where it comes from, and the hash of what follows "models"."""
    body = ",\n".join("    " + json.dumps(model) for model in models) + "\n  ]\n}\n"
    about = {
        "made_by": "scripts/catalogue.py",
        "day": DAY.isoformat(),
        "from": {"package": GENAI[0], "version": GENAI[1], "sha256": GENAI[2], "licence": GENAI_LICENCE},
        "completed_from": {"package": LITELLM[0], "version": LITELLM[1], "sha256": LITELLM[2], "licence": LITELLM_LICENCE},
        "models_sha256": hashlib.sha256(body.encode()).hexdigest(),
    }
    head = json.dumps(about, indent=2).replace("\n", "\n  ")
    return f'{{\n  "about": {head},\n  "models": [\n{body}'


def doc_text(models, notes):
    def table(head, rows):
        lines = [head, "|".join(["", *["---"] * (head.count("|") - 1), ""])]
        return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])

    by_hand = [(", ".join(names), source.removeprefix("by hand: ")) for names, _, source in BY_HAND]
    ignored = {}
    for name, key in notes.left_out:
        ignored.setdefault(key, []).append(name)
    coming = [(name, day.isoformat(), ", ".join(f"{meter} {price}" for meter, price in rates.items() if meter != "lines")) for name, day, rates in notes.later]
    return f"""# The catalogue that comes with the program

`scripts/catalogue.py` made `core/models.json` and this page: {len(models)} models at the prices of {DAY.isoformat()}, from
{GENAI[0]} {GENAI[1]}, completed from the map of {LITELLM[0]} {LITELLM[1]}. Prices are dollars for a million tokens, or for a
thousand searches.

## Where the two packages differ

The price of {GENAI[0]} is taken.

{table("| model | price | " + GENAI[0] + " | " + LITELLM[0] + " |", notes.differences)}

## Entered by hand

{table("| model | what |", by_hand)}

| vendor | what |
|---|---|
| OpenAI | where no package says it: web search $10, file search $2.50 for a thousand calls |
| Anthropic | where no package says it: web search $10 for a thousand; fetching a page costs its tokens alone |
| Google | where no price for audio is listed, audio costs what text costs |

## Announced for later

Import a newer list then, or set these prices now with their first day: `keydesk models set MODEL --starts`.

{table("| model | from | price |", coming)}

## What the catalogue does not say

- DeepSeek's prices depend on the hour: the dearer ones are listed, so that a budget is never passed. Off the peak a request
  is charged at up to twice its cost.
- Google's free searches, and the prices for stored caches, are not counted.
- OpenAI's and other providers' regional endpoints, which cost a tenth more, are chosen by the address and told in no answer:
  set such a model's price yourself.
- Prices of batches, which the gateway does not serve.
{chr(10).join(f"- `{key}` of {len(names)} models" for key, names in sorted(ignored.items()))}
"""


def main():
    models, notes = build()
    made = {JSON_FILE: json_text(models), DOC_FILE: doc_text(models, notes)}
    if "--check" in sys.argv:
        stale = [str(path) for path, text in made.items() if path.read_text() != text]
        sys.exit(f"Not what the script makes: {', '.join(stale)}" if stale else 0)
    for path, text in made.items():
        path.write_text(text)
    print(f"{len(models)} models; {len(notes.differences)} differences, listed in {DOC_FILE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
