"""What the program is told from outside. The only place that reads the environment."""

from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DIALECT = "postgresql+psycopg"
_SPELLINGS = ("postgres", "postgresql", DIALECT)


class SettingRefused(ValueError):
    """A setting cannot be used; the message names it and says why, and never repeats a secret."""


class Settings(BaseSettings):
    """The settings of one run, each read from the variable ``LEDGER_…`` of its name."""

    model_config = SettingsConfigDict(
        env_prefix="LEDGER_",
        env_ignore_empty=True,
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    database_url: SecretStr | None = None
    """Any PostgreSQL ≥ 15, with a login that is a member of ledger_program. Unset: the embedded one."""

    owner_url: SecretStr | None = None
    """The same database with the login that owns the tables, for migrations. Unset: the database URL."""

    read_url: SecretStr | None = None
    """A replica of the database that answers what only reads. Unset: the database itself."""

    data_folder: Path = Path(".ledger")
    """Where the embedded PostgreSQL keeps its data."""

    listen: str = "127.0.0.1:50051"
    """The address and port the gRPC server listens on."""

    book: str = Field("main", min_length=1)
    """The book that a command speaks of where it names none."""

    grace_seconds: float = Field(10, ge=0)
    """How long calls in flight may finish when the server is told to stop."""

    file_keys: SecretStr | None = None
    """The keys that seal remittance files: `name:base64-of-32-bytes, …`, the one that seals first."""

    signing_keys: SecretStr | None = None
    """The Ed25519 keys that sign checkpoints: `name:base64-of-32-bytes, …`, the one that signs first."""

    callers: Path | None = None
    """The callers file: who has which roles in which books. Needed wherever callers prove who they are."""

    tls_certificate: Path | None = None
    """The server's certificate chain (PEM)."""

    tls_key: Path | None = None
    """The private key of that certificate (PEM)."""

    tls_client_authority: Path | None = None
    """The authority that signs clients' certificates (PEM). Set: every client must have one."""

    jwt_keys: str | None = None
    """The JWKS that bearer tokens are checked against: a file, or an https URL."""

    jwt_authority: Path | None = None
    """The authority that signs the certificate of that URL (PEM). Unset: those that this machine trusts."""

    jwt_issuer: str = ""
    """Who must have issued a token (iss)."""

    jwt_audience: str = ""
    """For whom it must have been issued (aud)."""

    jwt_algorithms: str = "RS256,ES256,EdDSA"
    """Signatures that are accepted, with commas between."""

    jwt_skew_seconds: float = Field(30, ge=0, le=300)
    """How far the issuer's clock may be off."""

    metrics_listen: str | None = None
    """The address and port on which Prometheus finds the metrics. Unset: nowhere."""

    otel_endpoint: str | None = Field(
        None, validation_alias=AliasChoices("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    )
    """Where traces are sent: these variables are OpenTelemetry's own. Unset: nowhere."""

    otel_traces_exporter: str = Field("otlp", validation_alias="OTEL_TRACES_EXPORTER")
    """`none` sends no traces although there is an endpoint."""

    otel_protocol: str = Field(
        "http/protobuf",
        validation_alias=AliasChoices("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"),
    )
    """How traces are sent."""

    otel_disabled: bool = Field(False, validation_alias="OTEL_SDK_DISABLED")
    """Whether there are no traces at all."""

    calls_per_caller: int = Field(512, ge=1)
    """How many calls of one caller may be in flight."""

    guard_seconds: float = Field(15, gt=0)
    """How often the server looks whether the books' guards are in place."""

    @field_validator("database_url", "owner_url", "read_url")
    @classmethod
    def _one_dialect(cls, url: SecretStr | None) -> SecretStr | None:
        return None if url is None else SecretStr(normalised(url.get_secret_value()))


def normalised(url: str) -> str:
    """The URL in the one spelling that the program uses; refused where it is not PostgreSQL."""
    scheme, separator, rest = url.strip().partition("://")
    if not separator:
        raise SettingRefused("the database URL has no scheme: write postgresql://user:password@host:port/name")
    if scheme.lower() not in _SPELLINGS:
        raise SettingRefused(
            f"the database URL begins with {scheme}://, and only PostgreSQL is supported: "
            "write postgresql://user:password@host:port/name"
        )
    return f"{DIALECT}://{rest}"


def asks_for_proof(known: Settings) -> bool:
    """Whether any setting says how callers prove who they are."""
    return known.jwt_keys is not None or known.tls_client_authority is not None


def read() -> Settings:
    """The settings of the environment, or one plain sentence for each that cannot be used."""
    try:
        return Settings()
    except ValidationError as refused:
        raise SettingRefused("; ".join(_sentences(refused))) from None


def _sentences(refused: ValidationError) -> list[str]:
    errors = refused.errors(include_input=False, include_url=False)
    return [f"{_variable(error['loc'])}: {error['msg'].removeprefix('Value error, ')}" for error in errors]


def _variable(location: tuple[int | str, ...]) -> str:
    name = "_".join(str(part) for part in location).upper()
    return name if name.startswith("OTEL_") else f"LEDGER_{name}"
