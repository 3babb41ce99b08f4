"""How a configuration makes rows and keeps them: what the server and the commands that open the database share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from llmflow_web.app.settings import Config
from llmflow_web.net.upstreams import Upstream
from llmflow_web.store.limits import Limits

if TYPE_CHECKING:
    from llmflow_web.record.billing import Prices
    from llmflow_web.record.exchange import RowMaker
    from llmflow_web.record.price_refresh import PriceCache

PRICE_CACHE_NAME = "prices.json"
UNLIMITED_BYTES = 2**62


def make_row_maker(config: Config, upstreams: Mapping[str, Upstream], prices: Prices) -> RowMaker:
    """Make what turns calls, and rows that others send, into rows: read, masked and priced."""
    from llmflow_web.record.exchange import RowMaker

    rows = {name: upstream.provider for name, upstream in upstreams.items()}
    return RowMaker(
        rows,
        prices,
        max_body_bytes=config.max_stored_body,
        secrets=secrets_of(config, upstreams),
        patterns=config.redact,
        has_bodies=config.bodies,
    )


def secrets_of(config: Config, upstreams: Mapping[str, Upstream]) -> list[str]:
    """Return what is masked wherever it turns up: our token, and the keys of the environment."""
    from llmflow_web.record.redact import is_telling

    keys = [upstream.key for upstream in upstreams.values() if upstream.key and is_telling(upstream.key)]
    return [config.token, *keys] if config.token else keys


def price_cache_of(config: Config) -> PriceCache:
    """Return where fetched prices are kept."""
    from llmflow_web.record.price_refresh import PriceCache

    return PriceCache(config.data_dir / PRICE_CACHE_NAME, config.price_url)


def search_text(provider: str | None, operation: str | None, bodies: dict[int, bytes]) -> str:
    """Return the words a span is found by."""
    from llmflow_web.record import messages

    return messages.search_text(provider, operation, bodies)


def store_limits(config: Config) -> Limits:
    """Return how much the database keeps."""
    return Limits(
        max_spans=config.max_traces,
        max_age_s=config.max_age,
        max_bytes=config.max_size or UNLIMITED_BYTES,
        max_logs=config.max_logs,
        max_metrics=config.max_metrics,
    )
