"""What the program is told from outside. The only place that reads the environment."""

from pathlib import Path

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DIALECT = "postgresql+psycopg"
_SPELLINGS = ("postgres", "postgresql", DIALECT)


class SettingRefused(ValueError):
    """A setting cannot be used; the message names it and says why, and never repeats a secret."""


class Settings(BaseSettings):
    """The settings of one run, each read from the variable ``LEDGER_…`` of its name."""

    model_config = SettingsConfigDict(
        env_prefix="LEDGER_", env_ignore_empty=True, frozen=True, hide_input_in_errors=True
    )

    database_url: SecretStr | None = None
    """Any PostgreSQL ≥ 15. Unset: the embedded one, in the data folder."""

    data_folder: Path = Path(".ledger")
    """Where the embedded PostgreSQL keeps its data."""

    listen: str = "127.0.0.1:50051"
    """The address and port the gRPC server listens on."""

    book: str = Field("main", min_length=1)
    """The book that a command speaks of where it names none."""

    grace_seconds: float = Field(10, ge=0)
    """How long calls in flight may finish when the server is told to stop."""

    @field_validator("database_url")
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
    return "LEDGER_" + "_".join(str(part) for part in location).upper()
