"""Certificates of encrypted connections: a client's own, and further authorities."""

import ssl
import tempfile
from pathlib import Path

import httpx

from convergence_cluster.domain.errors import SpecError

_PEM = "-----BEGIN"


def tls_context(
    *,
    certificate: str | None = None,
    key: str | None = None,
    key_password: str | None = None,
    authority: str | None = None,
) -> ssl.SSLContext:
    """Return what connections are made with. Each argument but the password is a path, or the PEM text itself.

    Raises:
        SpecError: a file cannot be read, is no PEM, or key and certificate do not belong together.
    """
    context = httpx.create_ssl_context()
    if authority is not None:
        _load_authority(context, authority)
    if certificate is not None:
        _load_certificate(context, certificate, key, key_password)
    return context


def _load_authority(context: ssl.SSLContext, authority: str) -> None:
    try:
        context.load_verify_locations(cadata=_text_of(authority, "authority"))
    except ssl.SSLError as error:
        raise SpecError(f"api.tls.authority: not a certificate in PEM: {error.reason or error}") from None


def _load_certificate(context: ssl.SSLContext, certificate: str, key: str | None, password: str | None) -> None:
    """Load a certificate and its key through one file that only this user can read, for ssl takes nothing else."""
    texts = [_text_of(certificate, "certificate"), *([] if key is None else [_text_of(key, "key")])]
    with tempfile.TemporaryDirectory(prefix="convergence-") as folder:
        path = Path(folder, "client.pem")
        path.touch(mode=0o600)
        path.write_text("\n".join(texts), encoding="ascii")
        try:
            context.load_cert_chain(path, password=lambda: password or "")
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or "no certificate and key in PEM that belong together"
            raise SpecError(f"api.tls: certificate and key cannot be used: {reason}") from None


def _text_of(value: str, name: str) -> str:
    if value.lstrip().startswith(_PEM):
        return value
    try:
        text = Path(value).read_text(encoding="ascii")
    except (OSError, UnicodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SpecError(f"api.tls.{name}: the file can't be read: {reason}; expected a path or PEM text") from None
    return text
