"""The asyncio rim: sockets, TLS and HTTP. The only room that imports h11, ssl and certifi."""
