"""Which door the server has: who may come in, and with what proof, as the settings say."""

from dataclasses import dataclass
from pathlib import Path

import grpc

from service.callers import CallersFile
from service.identity import Certificate, Gate, OpenGate, Proof, is_public
from service.settings import SettingRefused, Settings
from service.tokens import BearerToken, Keys


@dataclass(frozen=True, slots=True)
class Admission:
    """The gate that knows callers, the server's side of TLS where it has one, and the file of who is known."""

    gate: Gate | OpenGate
    credentials: grpc.ServerCredentials | None = None
    callers: CallersFile | None = None


OPEN = Admission(OpenGate())
"""Believes everybody. Only for addresses that no other machine can reach."""


def admission(known: Settings, address: str, *, insecure: bool) -> Admission:
    """The door for an address. Raises SettingRefused where it would stand open, or the settings contradict."""
    proofs = _proofs(known)
    if not proofs:
        return _open(address, insecure=insecure)
    if insecure:
        raise SettingRefused("--insecure contradicts the settings, by which callers prove who they are")
    if known.callers is None:
        raise SettingRefused("LEDGER_CALLERS is not set: name the file that says which roles callers have")
    credentials = _credentials(known)
    if credentials is None and is_public(address):
        raise SettingRefused(
            f"{address} can be reached from other machines, where tokens must travel under TLS: "
            "set LEDGER_TLS_CERTIFICATE and LEDGER_TLS_KEY"
        )
    callers = CallersFile(known.callers)
    return Admission(Gate(proofs, callers), credentials, callers)


def _open(address: str, *, insecure: bool) -> Admission:
    if not insecure:
        raise SettingRefused(
            "nothing says how callers prove who they are: set LEDGER_TLS_CLIENT_AUTHORITY or LEDGER_JWT_KEYS, "
            "or say --insecure to believe everybody on this machine"
        )
    if is_public(address):
        raise SettingRefused(
            f"{address} can be reached from other machines, where callers must prove who they are: "
            "listen on 127.0.0.1, ::1 or localhost, or set LEDGER_TLS_CLIENT_AUTHORITY or LEDGER_JWT_KEYS"
        )
    return OPEN


def _proofs(known: Settings) -> list[Proof]:
    """A token names the caller where it is offered, else its certificate does."""
    proofs: list[Proof] = []
    if known.jwt_keys is not None:
        if not (known.jwt_issuer and known.jwt_audience):
            raise SettingRefused("LEDGER_JWT_KEYS needs LEDGER_JWT_ISSUER and LEDGER_JWT_AUDIENCE")
        algorithms = [one.strip() for one in known.jwt_algorithms.split(",") if one.strip()]
        keys = Keys(known.jwt_keys, known.jwt_authority)
        proofs.append(BearerToken(keys, known.jwt_issuer, known.jwt_audience, algorithms, known.jwt_skew_seconds))
    if known.tls_client_authority is not None:
        proofs.append(Certificate())
    return proofs


def _credentials(known: Settings) -> grpc.ServerCredentials | None:
    if known.tls_certificate is None and known.tls_key is None and known.tls_client_authority is None:
        return None
    if known.tls_certificate is None or known.tls_key is None:
        raise SettingRefused("TLS needs both LEDGER_TLS_CERTIFICATE and LEDGER_TLS_KEY")
    authority = known.tls_client_authority
    return grpc.ssl_server_credentials(
        [(_bytes("LEDGER_TLS_KEY", known.tls_key), _bytes("LEDGER_TLS_CERTIFICATE", known.tls_certificate))],
        root_certificates=_bytes("LEDGER_TLS_CLIENT_AUTHORITY", authority) if authority else None,
        require_client_auth=authority is not None,
    )


def _bytes(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as failed:
        raise SettingRefused(f"{setting}: {path}: {failed.strerror}") from None
