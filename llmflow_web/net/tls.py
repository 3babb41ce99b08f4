"""The TLS context for upstreams: verified, HTTP/1.1 by ALPN, roots from certifi unless the environment names others."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from llmflow_web.errors import UpstreamUnreachable


def make_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Make a verifying context. SSL_CERT_FILE and SSL_CERT_DIR, as OpenSSL reads them, replace certifi's roots.

    Raises UpstreamUnreachable when those cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    file, folder = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    if not file and not folder:
        import certifi

        # As text: inside a zipapp there is no file to point OpenSSL at.
        context.load_verify_locations(cadata=certifi.contents())
        return context
    try:
        context.load_verify_locations(cafile=file or None, capath=folder or None)
    except (OSError, ssl.SSLError) as error:
        named = f"SSL_CERT_FILE={file}" if file else f"SSL_CERT_DIR={folder}"
        raise UpstreamUnreachable(f"the certificates of {named} could not be read", is_retry_safe=True) from error
    return context


def openssl_version() -> str:
    """Return the version of OpenSSL that speaks for us."""
    return ssl.OPENSSL_VERSION
